// A text that the engine computes: a part of engine.cpp and engine_step.cpp.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "infer/page_pool.h"
#include "infer/request.h"
#include "infer/stop_strings.h"

namespace belay::infer {

constexpr std::size_t kMostDrafts = 15;

struct Sequence {
  std::shared_ptr<const Request> request;
  Completion result;
  std::vector<std::int32_t> ids;          // prompt and text
  std::vector<Page> pages;                // of positions 64 i to 64 i + 63
  std::int64_t computed = 0;              // positions whose keys and values are in pages
  std::vector<PagePool::Serial> serials;  // what the full pages stand for, as far as published
  History history;
  std::optional<StopStrings> stops;
  std::unique_ptr<Constraint> constraint;
  std::unique_ptr<Drafter> drafter;
  std::vector<std::uint64_t> allowed;

  // Of the step that is computed:
  std::int64_t row = 0, n_rows = 0;
  std::vector<std::int32_t> fed;  // the ids of its rows: of the text, then drafts
  std::size_t n_drafts = 0;
  std::vector<Sampler::Drawn> drawn;
  bool ended = false;

  std::int64_t length() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t left() const { return length() - computed; }  // positions to compute, at least one
  std::int64_t n_text() const { return length() - result.n_prompt; }
  bool draws() const { return computed + n_rows >= length(); }  // in this step
};

}  // namespace belay::infer
