// Generates many texts at once: continuous batching over paged keys and values. Every step() is one
// forward over the next token of each text that runs and pieces of the prompts that wait, so a long
// prompt does not stall the others, and a text that ends gives its place away at once. Texts that
// begin alike share pages; one that writes a shared page copies it. When pages run out, the text
// that came last gives its own back and is computed again later.
//
// A text is the same to the bit alone, in any company, and however its computation was cut: rows do
// not see each other (docs/exactness.md) and draws are keyed by (seed, text, position). Not thread
// safe: one caller, which runs step() until it returns false.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "infer/model_step.h"
#include "infer/page_pool.h"
#include "infer/request.h"

namespace belay::infer {

struct Sequence;

struct EngineOptions {
  std::int64_t context = 0;       // positions of a text; 0: all that the model has
  std::int64_t sequences = 16;    // texts that run at once
  std::int64_t cache_tokens = 0;  // positions in pages; 0: context for each sequence
  std::int64_t step_rows = 256;   // tokens of a step; at least `sequences`
  bool share_prefixes = true;
  int kv_bits = 0;  // of keys and values in pages: 8, or 0 as computed. Another model, by a little
  /// The bytes of an id, for texts and stop strings; none: no text.
  std::function<std::string_view(std::int32_t)> token_bytes = {};
};

/// What an engine takes beside the model, before it does.
struct EngineBytes {
  std::int64_t pages = 0, activations = 0;
};
EngineBytes engine_bytes(base::Context& ctx, const model::Model& model,
                         const EngineOptions& options);

struct EngineStats {
  std::int64_t steps = 0, rows = 0, generated = 0, preempted = 0, copied_pages = 0;
  std::int64_t running = 0, waiting = 0, used_pages = 0, pages = 0;
};

class Engine {
 public:
  Engine(base::Context& ctx, const model::Model& model, EngineOptions options);
  ~Engine();

  /// Fails for an empty prompt, ids or values out of range, or a prompt that leaves no room.
  base::Result<RequestId> submit(Request request);
  /// Ends the request's texts; their pages are free at once. Not to be called from on_token, which
  /// returns false instead.
  void cancel(RequestId request);
  /// One forward; false when there is nothing to do.
  bool step();
  /// Texts that ended since the last call.
  std::vector<Completion> take_finished();

  EngineStats stats() const;
  std::int64_t context() const { return options_.context; }
  /// The most ids of prompt and text together: of the context, and of all pages.
  std::int64_t room() const {
    return std::min(options_.context, pool_.n_pages() * ops::kPageTokens);
  }
  std::int64_t vocab_size() const { return model_.config().vocab_size; }

 private:
  using Owned = std::unique_ptr<Sequence>;
  base::Status check(const Request& request) const;
  void admit();
  bool start(Sequence& s);
  const Sequence* donor_of(const Sequence& s) const;
  void plan();
  void plan_row(Sequence& s);
  bool hold(Sequence& s, std::int64_t positions);
  void preempt(std::size_t index);
  void give_back(Sequence& s);
  void publish(Sequence& s);
  void compute();
  void score_prompt(Sequence& s);
  void draw();
  void draw_texts(std::span<Sequence* const> texts);
  void draw_rows(Sequence& s, const float* logits, Sampler& sampler);
  void take(Sequence& s);
  void take_token(Sequence& s, std::size_t index);
  void finish(Sequence& s, Ending ending);

  base::Context& ctx_;
  const model::Model& model_;
  EngineOptions options_;
  PagePool pool_;
  model::KvPages pages_;
  ModelStep step_;
  std::vector<Sampler> samplers_;  // one a worker
  std::deque<Owned> waiting_;
  std::vector<Owned> running_;  // in the order in which they came
  std::vector<Completion> finished_;
  std::vector<Sequence*> planned_, drawing_;
  RequestId last_id_ = 0;
  EngineStats stats_;
};

/// One request's texts, computed to the end: submit, step, take.
base::Result<std::vector<Completion>> complete(Engine& engine, Request request);

}  // namespace belay::infer
