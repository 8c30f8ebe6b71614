#include "infer/engine.h"

#include <fmt/core.h>

#include <algorithm>

#include "infer/sequence.h"

namespace belay::infer {
namespace {

using base::Result;
using base::Status;

std::int64_t pages_of(std::int64_t positions) { return ops::ceil_div(positions, ops::kPageTokens); }

EngineOptions with_defaults(EngineOptions o, const model::Model& model) {
  if (o.context == 0) o.context = model.max_positions();
  if (o.cache_tokens == 0) {
    o.cache_tokens = o.sequences * ops::round_up(o.context, ops::kPageTokens);
  }
  o.step_rows = std::max(o.step_rows, o.sequences * static_cast<std::int64_t>(kMostDrafts + 1));
  return o;
}

StepLimits limits_of(const EngineOptions& o) {
  return {.rows = o.step_rows,
          .segments = o.sequences,
          .longest = o.context,
          .table = o.sequences * pages_of(o.context)};
}

Status bad(std::string_view where, std::string_view what, std::string seen, std::string allowed,
           std::string next = "") {
  return base::invalid_argument({.where = std::string(where),
                                 .what = std::string(what),
                                 .seen = std::move(seen),
                                 .allowed = std::move(allowed),
                                 .next = std::move(next)});
}

}  // namespace

EngineBytes engine_bytes(base::Context& ctx, const model::Model& model,
                         const EngineOptions& options) {
  const EngineOptions o = with_defaults(options, model);
  return {pages_of(o.cache_tokens) *
              model::KvPages::page_bytes(model.config(), model.compute(), o.kv_bits),
          ModelStep::bytes_needed(ctx, model, limits_of(o), o.kv_bits)};
}

Engine::Engine(base::Context& ctx, const model::Model& model, EngineOptions options)
    : ctx_(ctx),
      model_(model),
      options_(with_defaults(std::move(options), model)),
      pool_(pages_of(options_.cache_tokens)),
      pages_(model.config(), model.compute(), pool_.n_pages(), options_.kv_bits),
      step_(ctx, model, pages_, limits_of(options_)) {
  BELAY_CHECK(
      options_.sequences > 0 && options_.context <= model.max_positions() && pool_.n_pages() > 0,
      "texts, positions that the model has, and pages");
  for (int w = 0; w < ctx.threads.size(); ++w) samplers_.emplace_back(model.config().vocab_size);
}

Engine::~Engine() = default;

Status Engine::check(const Request& r) const {
  const std::int64_t vocab = vocab_size();
  if (r.prompt.empty()) return bad("prompt", "has no ids", "0", "at least one");
  for (const std::int32_t id : r.prompt) {
    if (id >= 0 && id < vocab) continue;
    return bad("prompt", "has an id that the model has no embedding for", fmt::format("{}", id),
               fmt::format("0 to {}", vocab - 1));
  }
  if (r.vocab_size < 0 || r.vocab_size > vocab) {
    return bad("vocab_size", "is out of range", fmt::format("{}", r.vocab_size),
               fmt::format("0 to {}", vocab));
  }
  for (const auto& [name, value, least, most] :
       {std::tuple{"max_tokens", r.max_tokens, std::int64_t{1}, std::int64_t{1} << 31},
        {"n", r.n, 1, 1024},
        {"n_top", r.n_top, 0, std::min<std::int64_t>(vocab, 1024)}}) {
    if (value >= least && value <= most) continue;
    return bad(name, "is out of range", fmt::format("{}", value),
               fmt::format("{} to {}", least, most));
  }
  BELAY_RETURN_IF_ERROR(validate(r.sampler, "", vocab));
  if (static_cast<std::int64_t>(r.prompt.size()) >= room() && !r.truncate_prompt) {
    return bad("prompt", "is longer than the context, with one token of room",
               fmt::format("{} ids", r.prompt.size()), fmt::format("at most {}", room() - 1),
               "shorten it, or ask for its beginning to be left out");
  }
  return {};
}

Result<RequestId> Engine::submit(Request request) {
  BELAY_RETURN_IF_ERROR(check(request));
  std::int64_t truncated = 0;
  if (static_cast<std::int64_t>(request.prompt.size()) >= room()) {
    // What is left has room for the text, but for half of the context at most.
    const std::int64_t keep =
        std::max<std::int64_t>(1, room() - std::min(request.max_tokens, room() / 2));
    truncated = static_cast<std::int64_t>(request.prompt.size()) - keep;
    request.prompt.erase(request.prompt.begin(), request.prompt.end() - keep);
    request.first_index += static_cast<std::uint64_t>(truncated);
  }
  const auto shared = std::make_shared<const Request>(std::move(request));
  const auto most = static_cast<std::size_t>(
      std::min(room(), static_cast<std::int64_t>(shared->prompt.size()) + shared->max_tokens));
  ++last_id_;
  for (std::int64_t i = 0; i < shared->n; ++i) {
    auto s = std::make_unique<Sequence>();
    s->request = shared;
    s->result.request = last_id_, s->result.sample = i;
    s->result.n_prompt = static_cast<std::int64_t>(shared->prompt.size());
    s->result.n_truncated = truncated;
    s->ids.reserve(most);
    s->ids = shared->prompt;
    s->pages.reserve(static_cast<std::size_t>(pages_of(static_cast<std::int64_t>(most))));
    s->serials.reserve(s->pages.capacity());
    if (shared->sampler.changes_logits()) {
      s->history.reserve(most);
      for (const std::int32_t id : shared->prompt) s->history.add(id, false);
    }
    const std::size_t n_text = most - shared->prompt.size();
    s->result.ids.reserve(n_text);
    s->result.logprobs.reserve(n_text);
    s->result.top.reserve(n_text * static_cast<std::size_t>(shared->n_top));
    s->fed.reserve(static_cast<std::size_t>(options_.step_rows));
    s->drawn.reserve(kMostDrafts + 1);
    s->stops.emplace(shared->stop_strings);
    if (shared->constraint) s->constraint = shared->constraint();
    if (shared->drafter) s->drafter = shared->drafter();
    waiting_.push_back(std::move(s));
  }
  return last_id_;
}

void Engine::cancel(RequestId request) {
  for (Owned& s : running_) {
    if (s->result.request == request && !s->ended) finish(*s, Ending::kCancelled);
  }
  std::erase_if(running_, [](const Owned& s) { return s->ended; });
  for (Owned& s : waiting_) {
    if (s->result.request == request) finish(*s, Ending::kCancelled);
  }
  std::erase_if(waiting_, [](const Owned& s) { return s->ended; });
}

std::vector<Completion> Engine::take_finished() { return std::exchange(finished_, {}); }

EngineStats Engine::stats() const {
  EngineStats s = stats_;
  s.running = static_cast<std::int64_t>(running_.size());
  s.waiting = static_cast<std::int64_t>(waiting_.size());
  s.used_pages = pool_.n_used(), s.pages = pool_.n_pages();
  return s;
}

/// A text from the same prompt whose pages hold all of it.
const Sequence* Engine::donor_of(const Sequence& s) const {
  if (s.n_text() > 0) return nullptr;
  for (const Owned& other : running_) {
    if (other->request == s.request && other->computed >= s.length()) return other.get();
  }
  return nullptr;
}

/// Gives a waiting text what is there of its pages; false when it has to wait.
bool Engine::start(Sequence& s) {
  const bool shares = options_.share_prefixes && !s.request->score_prompt;
  // The last id is always computed, for what comes after it.
  const std::int64_t known = s.length() - 1;
  if (const Sequence* donor = shares ? donor_of(s) : nullptr; donor != nullptr) {
    for (std::int64_t i = 0; i < pages_of(known); ++i) {
      s.pages.push_back(donor->pages[static_cast<std::size_t>(i)]);
      pool_.share(s.pages.back());
    }
    s.computed = known;
    const auto full = static_cast<std::ptrdiff_t>(known / ops::kPageTokens);
    s.serials.assign(donor->serials.begin(), donor->serials.begin() + full);
  }
  while (shares && s.computed + ops::kPageTokens <= known &&
         s.computed == static_cast<std::int64_t>(s.pages.size()) * ops::kPageTokens) {
    const auto ids = std::span(s.ids).subspan(static_cast<std::size_t>(s.computed),
                                              static_cast<std::size_t>(ops::kPageTokens));
    const Page page = pool_.find(s.serials.empty() ? 0 : s.serials.back(), ids);
    if (page == kNoPage) break;
    s.pages.push_back(page);
    s.serials.push_back(pool_.serial(page));
    s.computed += ops::kPageTokens;
  }
  // One more for the page that is copied when it is written.
  const std::int64_t missing = pages_of(s.length()) - static_cast<std::int64_t>(s.pages.size());
  if (pool_.n_free() < missing + 1 && !running_.empty()) {
    give_back(s);
    return false;
  }
  s.result.n_cached = std::max(s.result.n_cached, s.computed);
  return true;
}

void Engine::admit() {
  while (!waiting_.empty() && static_cast<std::int64_t>(running_.size()) < options_.sequences) {
    Sequence& s = *waiting_.front();
    // Texts of one prompt wait until the first has computed it.
    const bool prompt_runs = std::any_of(running_.begin(), running_.end(), [&](const Owned& other) {
      return other->request == s.request && other->computed < other->result.n_prompt;
    });
    if ((options_.share_prefixes && prompt_runs) || !start(s)) return;
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Engine::give_back(Sequence& s) {
  for (const Page page : s.pages) pool_.drop(page);
  s.pages.clear();
  s.serials.clear();
  s.computed = 0;
}

void Engine::preempt(std::size_t index) {
  give_back(*running_[index]);
  running_[index]->n_rows = 0;
  ++stats_.preempted;
  waiting_.push_front(std::move(running_[index]));
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

/// Pages for the positions up to `positions`, of which those from s.computed on may be written.
bool Engine::hold(Sequence& s, std::int64_t positions) {
  const auto first = static_cast<std::size_t>(s.computed / ops::kPageTokens);
  if (first < s.pages.size() && pool_.shared(s.pages[first])) {
    const Page mine = pool_.take();
    if (mine == kNoPage) return false;
    pages_.copy(s.pages[first], mine);
    pool_.drop(s.pages[first]);
    s.pages[first] = mine;
    ++stats_.copied_pages;
  }
  while (static_cast<std::int64_t>(s.pages.size()) < pages_of(positions)) {
    const Page page = pool_.take();
    if (page == kNoPage) return false;
    s.pages.push_back(page);
  }
  return true;
}

void Engine::publish(Sequence& s) {
  if (!options_.share_prefixes) return;
  for (std::size_t n = s.serials.size();
       n < static_cast<std::size_t>(s.computed / ops::kPageTokens); ++n) {
    const auto ids = std::span(s.ids).subspan(n * ops::kPageTokens, ops::kPageTokens);
    s.serials.push_back(pool_.publish(s.pages[n], n == 0 ? 0 : s.serials.back(), ids));
  }
}

void Engine::finish(Sequence& s, Ending ending) {
  give_back(s);
  if (ending != Ending::kStopString && options_.token_bytes) s.result.text += s.stops->finish();
  s.result.ending = ending;
  s.ended = true;
  finished_.push_back(std::move(s.result));
}

Result<std::vector<Completion>> complete(Engine& engine, Request request) {
  BELAY_RETURN_IF_ERROR(engine.submit(std::move(request)).status());
  while (engine.step()) {
  }
  return engine.take_finished();
}

}  // namespace belay::infer
