#include "model/score.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/units.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "ops/output_head.h"
#include "tensor/exec.h"

namespace belay::model {
namespace {

using base::Result;
using base::Status;
using Document = std::vector<std::int32_t>;
using Scores = std::vector<std::vector<float>>;

std::int64_t length_of(const Document& document) {
  return static_cast<std::int64_t>(document.size());
}

/// The shape of the one tape that all documents pass through.
struct Layout {
  std::int64_t rows = 0;     // tokens of a replay
  std::int64_t longest = 0;  // document, or positions of the cache
  bool cached = false;
  int kv_bits = 0;  // of the cache
};

constexpr std::int64_t kBytesPiece = 512;  // where the cache is asked for and the piece is not

Layout layout_of(const Documents& documents, const ScoreOptions& options) {
  std::int64_t longest = 0, total = 0;
  for (const Document& document : documents) {
    longest = std::max(longest, length_of(document));
    total += length_of(document);
  }
  if (options.piece <= 0 && options.kv_bits == 0) {
    return {std::min(total, std::max(longest, options.batch_tokens)), longest};
  }
  const std::int64_t piece = options.piece > 0 ? options.piece : kBytesPiece;
  const std::int64_t rows = std::min(piece, longest);
  // The last piece is padded.
  return {rows, (longest + rows - 1) / rows * rows, true, options.kv_bits};
}

/// Records a forward whose output is the log-probability of each row's target. Without a cache, the
/// tape of a cached layout can only be measured.
tensor::Tape record(const Model& model, Batch& batch, KvCache* cache, const Layout& layout,
                    tensor::Id& logprob) {
  tensor::Tape tape;
  ForwardOptions options{.longest = layout.longest};
  CacheIds ids;
  if (layout.cached) {
    ids = cache != nullptr ? cache->bind(tape)
                           : KvCache::bind_nothing(tape, model.config(), model.compute(),
                                                   layout.longest, layout.kv_bits);
    options.cache = &ids;
  }
  const tensor::Id h = forward(tape, model, batch.bind(tape), options);
  logprob = ops::logprob_gather(tape, h, bind_head(tape, model), batch.bind_targets(tape));
  return tape;
}

class Scorer {
 public:
  Scorer(base::Context& ctx, const Model& model, const Layout& layout)
      : longest_(layout.longest), max_positions_(model.max_positions()), batch_(layout.rows) {
    if (layout.cached) {
      cache_.emplace(model.config(), model.compute(), layout.longest, layout.kv_bits);
    }
    exec_.emplace(ctx, record(model, batch_, cache_ ? &*cache_ : nullptr, layout, logprob_));
  }

  /// Scores as many whole documents from the front as fit into one replay; returns how many.
  std::size_t packed(std::span<const Document> documents, Scores& scores) {
    Document ids, targets;
    std::vector<std::int64_t> lengths;
    for (const Document& document : documents) {
      if (ids.size() + document.size() > batch_.ids.size()) break;
      ids.insert(ids.end(), document.begin(), document.end());
      targets.insert(targets.end(), document.begin() + 1, document.end());
      targets.push_back(-1);
      lengths.push_back(length_of(document));
    }
    const std::size_t n_documents = lengths.size();
    auto rest = static_cast<std::int64_t>(batch_.ids.size() - ids.size());
    for (; rest > 0; rest -= lengths.back()) {  // filled up with documents that nobody reads
      lengths.push_back(std::min(rest, longest_));
    }
    ids.resize(batch_.ids.size(), 0);
    targets.resize(batch_.ids.size(), -1);
    batch_.set(ids, targets, lengths);
    exec_->replay();
    const float* p = logprobs();
    for (std::size_t d = 0; d < n_documents; ++d, p += lengths[d - 1]) {
      scores.emplace_back(p, p + lengths[d] - 1);
    }
    return n_documents;
  }

  /// Scores one document, piece after piece.
  void in_pieces(const Document& document, Scores& scores) {
    std::vector<float>& row = scores.emplace_back();
    for (std::size_t begin = 0; begin < document.size(); begin += batch_.ids.size()) {
      const std::size_t n = std::min(batch_.ids.size(), document.size() - begin);
      for (std::size_t i = 0; i < batch_.ids.size(); ++i) {
        const std::size_t t = begin + i;
        batch_.ids[i] = i < n ? document[t] : 0;
        batch_.targets[i] = i < n && t + 1 < document.size() ? document[t + 1] : -1;
        batch_.positions[i] =
            static_cast<std::int32_t>(std::min(static_cast<std::int64_t>(t), max_positions_ - 1));
      }
      cache_->set(static_cast<std::int64_t>(begin), batch_.n_tokens());
      exec_->replay();
      row.insert(row.end(), logprobs(), logprobs() + n);
    }
    row.pop_back();  // the last token has no target
  }

 private:
  const float* logprobs() const { return exec_->view(logprob_).f32(); }

  std::int64_t longest_, max_positions_;
  Batch batch_;
  std::optional<KvCache> cache_;
  tensor::Id logprob_ = tensor::kNone;
  std::optional<tensor::Exec> exec_;
};

/// The option under which the computation takes at most `have` bytes.
std::string what_would_fit(base::Context& ctx, const Model& model, const Documents& documents,
                           const ScoreOptions& options, std::int64_t have) {
  ScoreOptions smaller = options;
  const std::int64_t longest = layout_of(documents, {.batch_tokens = 1}).longest;
  while (!layout_of(documents, smaller).cached && smaller.batch_tokens > longest) {
    smaller.batch_tokens = std::max(longest, smaller.batch_tokens / 2);
    if (score_bytes(ctx, model, documents, smaller) <= have) {
      return fmt::format("--batch-tokens {} fits", smaller.batch_tokens);
    }
  }
  for (const std::int64_t piece : {512, 64}) {
    smaller.piece = piece;
    if (score_bytes(ctx, model, documents, smaller) <= have) {
      return fmt::format("--piece {} fits", piece);
    }
  }
  return "free memory, or score shorter documents";
}

Status check_memory(base::Context& ctx, base::Env& env, const Model& model,
                    const Documents& documents, const ScoreOptions& options) {
  const auto need = static_cast<std::uint64_t>(score_bytes(ctx, model, documents, options));
  const std::uint64_t have = env.available_memory_bytes();
  if (have == 0 || need <= have) return {};
  return base::resource_exhausted(
      {.where = "scoring",
       .what = "the activations do not fit in memory",
       .seen = base::bytes_text(need),
       .allowed = base::bytes_text(have) + " available",
       .next = what_would_fit(ctx, model, documents, options, static_cast<std::int64_t>(have))});
}

Status check_finite(const Scores& scores) {
  for (std::size_t d = 0; d < scores.size(); ++d) {
    for (std::size_t t = 0; t < scores[d].size(); ++t) {
      if (std::isfinite(scores[d][t])) continue;
      return base::corrupt({.where = fmt::format("document {}, token {}", d, t + 1),
                            .what = "the model gives a log-probability that is not finite",
                            .seen = fmt::format("{}", scores[d][t]),
                            .next = "the weights are damaged, or too large for the compute type"});
    }
  }
  return {};
}

}  // namespace

std::int64_t score_bytes(base::Context& ctx, const Model& model, const Documents& documents,
                         const ScoreOptions& options) {
  const Layout layout = layout_of(documents, options);
  Batch batch(layout.rows);
  tensor::Id logprob = tensor::kNone;
  return tensor::Exec::measure(ctx, record(model, batch, nullptr, layout, logprob)) +
         (layout.cached ? KvCache::bytes_needed(model.config(), model.compute(), layout.longest,
                                                layout.kv_bits)
                        : 0);
}

Result<Scores> score(base::Context& ctx, base::Env& env, const Model& model,
                     const Documents& documents, const ScoreOptions& options) {
  for (const Document& document : documents) {
    BELAY_CHECK(!document.empty() && length_of(document) <= model.max_positions(),
                "a document has tokens, and positions for them");
    for (const std::int32_t id : document) {
      BELAY_CHECK(id >= 0 && id < model.config().vocab_size, "ids are in the vocabulary");
    }
  }
  Scores scores;
  if (documents.empty()) return scores;
  BELAY_RETURN_IF_ERROR(check_memory(ctx, env, model, documents, options));
  const Layout layout = layout_of(documents, options);
  Scorer scorer(ctx, model, layout);
  while (scores.size() < documents.size()) {
    if (layout.cached) {
      scorer.in_pieces(documents[scores.size()], scores);
    } else {
      scorer.packed(std::span(documents).subspan(scores.size()), scores);
    }
  }
  BELAY_RETURN_IF_ERROR(check_finite(scores));
  return scores;
}

Status check_model_fits(base::Env& env, const ModelConfig& config, tensor::DType compute,
                        bool trained) {
  const auto need = static_cast<std::uint64_t>(model_bytes(config, compute, trained).total());
  const std::uint64_t have = env.available_memory_bytes();
  if (have == 0 || need <= have) return {};
  const bool smaller = compute == tensor::DType::kF32;
  return base::resource_exhausted({.where = "model",
                                   .what = "does not fit in memory",
                                   .seen = base::bytes_text(need),
                                   .allowed = base::bytes_text(have) + " available",
                                   .next = smaller ? "try --dtype bf16, or free memory"
                                                   : "free memory, or use a smaller model"});
}

}  // namespace belay::model
