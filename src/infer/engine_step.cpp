// One step of the engine: which rows, the forward, the draws, and what they end.
#include <algorithm>
#include <cmath>

#include "infer/engine.h"
#include "infer/sequence.h"

namespace belay::infer {

bool Engine::step() {
  admit();
  if (running_.empty()) return false;
  plan();
  compute();
  draw();
  std::erase_if(running_, [](const Owned& s) { return s->ended; });
  return !running_.empty() || !waiting_.empty();
}

/// One row for a text that runs, and rows for its guesses.
void Engine::plan_row(Sequence& s) {
  s.n_drafts = 0;
  if (s.drafter != nullptr) {
    const std::int64_t most = std::min<std::int64_t>(
        {kMostDrafts, room() - s.length(), s.request->max_tokens - s.n_text() - 1});
    if (most > 0) {
      std::int32_t guesses[kMostDrafts];
      const auto to = std::span(guesses).first(static_cast<std::size_t>(most));
      s.n_drafts = std::min(s.drafter->propose(s.ids, to), to.size());
      const auto known = [&](std::int32_t id) { return id >= 0 && id < vocab_size(); };
      s.n_drafts = static_cast<std::size_t>(
          std::find_if_not(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(s.n_drafts),
                           known) -
          to.begin());
      s.fed.assign(1, s.ids.back());
      s.fed.insert(s.fed.end(), to.begin(), to.begin() + static_cast<std::ptrdiff_t>(s.n_drafts));
    }
  }
  if (s.n_drafts == 0) s.fed.assign(1, s.ids.back());
  s.n_rows = static_cast<std::int64_t>(s.fed.size());
}

/// First a row for each text that runs, then pieces of prompts, the oldest first.
void Engine::plan() {
  std::int64_t rows = 0;
  for (const Owned& s : running_) s->n_rows = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (s.left() > 1) continue;
    plan_row(s);
    while (!hold(s, s.computed + s.n_rows)) {
      preempt(running_.size() - 1);  // the last one that came, at the end itself
      if (i == running_.size()) break;
    }
    if (i < running_.size()) rows += s.n_rows;
  }
  for (const Owned& owned : running_) {
    Sequence& s = *owned;
    if (s.left() == 1 || rows == options_.step_rows) continue;
    std::int64_t n = std::min(s.left(), options_.step_rows - rows);
    // As many as there are pages for.
    while (n > 0 && !hold(s, s.computed + n)) {
      n = std::min(n - 1,
                   static_cast<std::int64_t>(s.pages.size()) * ops::kPageTokens - s.computed);
    }
    if (n <= 0) continue;
    const auto begin = s.ids.begin() + static_cast<std::ptrdiff_t>(s.computed);
    s.fed.assign(begin, begin + static_cast<std::ptrdiff_t>(n));
    s.n_drafts = 0;
    s.n_rows = n;
    rows += n;
  }
  if (rows > 0) return;
  BELAY_CHECK(running_.size() > 1, "a text alone has pages for its whole length");
  preempt(running_.size() - 1);
  plan();
}

void Engine::compute() {
  step_.begin();
  planned_.clear();
  for (const Owned& s : running_) {
    if (s->n_rows == 0) continue;
    s->row = step_.add(s->fed, s->computed, s->pages);
    stats_.rows += s->n_rows;
    planned_.push_back(s.get());
  }
  step_.run();
  ++stats_.steps;
  for (Sequence* s : planned_) {
    if (s->request->score_prompt) score_prompt(*s);
  }
}

/// log p of the prompt's ids that follow this step's rows.
void Engine::score_prompt(Sequence& s) {
  const std::int64_t n_prompt = s.result.n_prompt;
  std::int32_t rows[ModelStep::kHeadRows], targets[ModelStep::kHeadRows];
  for (std::int64_t i = 0; i < s.n_rows;) {
    std::size_t n = 0;
    for (; n < std::size(rows) && i < s.n_rows && s.computed + i + 1 < n_prompt; ++i, ++n) {
      rows[n] = static_cast<std::int32_t>(s.row + i);
      targets[n] = s.ids[static_cast<std::size_t>(s.computed + i + 1)];
    }
    if (n == 0) return;
    // A text that was preempted computes its prompt again; what it said stands.
    const auto known = static_cast<std::int64_t>(s.result.prompt_logprobs.size());
    if (s.computed + i <= known) continue;
    const auto p = step_.logprobs(std::span(rows).first(n), std::span(targets).first(n));
    const std::int64_t first = s.computed + i - static_cast<std::int64_t>(n);
    s.result.prompt_logprobs.insert(s.result.prompt_logprobs.end(),
                                    p.begin() + static_cast<std::ptrdiff_t>(known - first),
                                    p.end());
  }
}

/// Draws for all texts whose last id was computed, as many at a time as the head takes.
void Engine::draw() {
  drawing_.clear();
  std::int64_t rows = 0;
  const auto flush = [&] {
    if (!drawing_.empty()) draw_texts(drawing_);
    drawing_.clear();
    rows = 0;
  };
  for (Sequence* s : planned_) {
    if (!s->draws()) {
      s->computed += s->n_rows;
      publish(*s);
      continue;
    }
    const auto n = static_cast<std::int64_t>(s->n_drafts) + 1;
    if (rows + n > ModelStep::kHeadRows) flush();
    drawing_.push_back(s);
    rows += n;
  }
  flush();
}

void Engine::draw_texts(std::span<Sequence* const> texts) {
  std::int32_t rows[ModelStep::kHeadRows];
  std::size_t first[ModelStep::kHeadRows], n = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Sequence& s = *texts[i];
    first[i] = n;
    const std::int64_t row = s.row + s.n_rows - static_cast<std::int64_t>(s.n_drafts) - 1;
    for (std::size_t d = 0; d <= s.n_drafts; ++d) {
      rows[n++] = static_cast<std::int32_t>(row + static_cast<std::int64_t>(d));
    }
  }
  const float* logits = step_.logits(std::span(rows).first(n)).data();
  ctx_.threads.parallel(static_cast<std::int64_t>(texts.size()), [&](std::int64_t i, int worker) {
    const auto t = static_cast<std::size_t>(i);
    draw_rows(*texts[t], logits + first[t] * static_cast<std::size_t>(vocab_size()),
              samplers_[static_cast<std::size_t>(worker)]);
  });
  for (Sequence* s : texts) take(*s);
}

/// The next id, and the ids after it while the guesses are right. Runs beside other texts.
void Engine::draw_rows(Sequence& s, const float* logits, Sampler& sampler) {
  const Request& r = *s.request;
  const auto vocab = static_cast<std::size_t>(r.vocab_size > 0 ? r.vocab_size : vocab_size());
  const bool remembers = r.sampler.changes_logits();
  s.drawn.clear();
  for (std::size_t d = 0; d <= s.n_drafts; ++d) {
    const std::span<const float> row{logits + d * static_cast<std::size_t>(vocab_size()), vocab};
    if (s.constraint != nullptr) {
      s.allowed.assign((vocab + 63) / 64, ~std::uint64_t{0});
      s.constraint->mask(s.allowed);
      if (vocab % 64 != 0) s.allowed.back() &= (std::uint64_t{1} << (vocab % 64)) - 1;
      if (std::all_of(s.allowed.begin(), s.allowed.end(), [](auto w) { return w == 0; })) return;
    }
    const auto index = r.first_index + s.ids.size() + d;
    s.drawn.push_back(sampler.draw(ctx_, {.logits = row,
                                          .options = r.sampler,
                                          .index = index,
                                          .stream = static_cast<std::uint64_t>(s.result.sample),
                                          .history = remembers ? &s.history : nullptr,
                                          .allowed = s.allowed}));
    const std::int32_t id = s.drawn.back().id;
    if (r.n_top > 0) {
      const std::size_t n = s.result.top.size(), more = static_cast<std::size_t>(r.n_top);
      s.result.top.resize(n + more);
      sampler.top(row, std::span(s.result.top).last(more));
    }
    if (remembers) s.history.add(id, true);
    if (s.constraint != nullptr) s.constraint->accept(id);
    if (d < s.n_drafts && id != s.fed[d + 1]) return;
  }
}

/// Takes over what was drawn, until it ends the text.
void Engine::take(Sequence& s) {
  const auto n = static_cast<std::int64_t>(s.drawn.size());
  // Keys and values of right guesses are there; those of wrong ones will be written over.
  s.computed += s.n_rows - static_cast<std::int64_t>(s.n_drafts) + std::max<std::int64_t>(n - 1, 0);
  s.result.n_drafted += static_cast<std::int64_t>(s.n_drafts);
  s.result.n_accepted += std::max<std::int64_t>(n - 1, 0);
  for (std::size_t i = 0; i < s.drawn.size() && !s.ended; ++i) take_token(s, i);
  if (s.ended) return;
  if (s.drawn.empty()) return finish(s, Ending::kConstraint);
  publish(s);
}

void Engine::take_token(Sequence& s, std::size_t index) {
  const Request& r = *s.request;
  const Sampler::Drawn drawn = s.drawn[index];
  if (!std::isfinite(drawn.logprob)) return finish(s, Ending::kNotFinite);
  s.ids.push_back(drawn.id);
  s.result.ids.push_back(drawn.id);
  s.result.logprobs.push_back(drawn.logprob);
  ++stats_.generated;
  const bool stops = std::find(r.stop_ids.begin(), r.stop_ids.end(), drawn.id) != r.stop_ids.end();
  std::string_view bytes;
  if (!stops && options_.token_bytes) bytes = s.stops->push(options_.token_bytes(drawn.id));
  s.result.text += bytes;
  const auto n_top = static_cast<std::size_t>(r.n_top);
  const auto top =
      std::span<const TopToken>(s.result.top).subspan((s.result.ids.size() - 1) * n_top, n_top);
  const bool goes_on =
      !r.on_token || r.on_token(s.result.sample, {drawn.id, drawn.logprob, top}, bytes);
  if (stops) return finish(s, Ending::kStopId);
  if (s.stops->found()) return finish(s, Ending::kStopString);
  if (!goes_on) return finish(s, Ending::kCancelled);
  if (s.n_text() == r.max_tokens) return finish(s, Ending::kMaxTokens);
  if (s.length() == room()) return finish(s, Ending::kContext);
}

}  // namespace belay::infer
