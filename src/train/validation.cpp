#include "train/validation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/score.h"

namespace belay::train {
namespace {

using base::Status;

constexpr std::size_t kTokensAtATime = 1 << 16;

/// Collects windows and scores many at a time.
class Scorer {
 public:
  Scorer(base::Context& ctx, base::Env& env, const model::Model& model,
         const ValidationOptions& options)
      : ctx_(ctx),
        env_(env),
        model_(model),
        width_(static_cast<std::size_t>(options.context)),
        stride_(width_ - static_cast<std::size_t>(
                             options.overlap > 0 ? options.overlap : (options.context + 1) / 2)) {
    BELAY_CHECK(stride_ >= 1 && stride_ < width_, "windows that go forward and overlap");
  }

  /// Counts tokens [1, ids.size()) of a document.
  Status add(std::span<const std::int32_t> ids) {
    std::size_t next = 1;  // the first token that does not count yet
    for (std::size_t begin = 0; next < ids.size(); begin += stride_) {
      const auto window = ids.subspan(begin, std::min(width_, ids.size() - begin));
      windows_.emplace_back(window.begin(), window.end());
      first_counted_.push_back(next - begin - 1);
      next = begin + window.size();
      n_tokens_ += window.size();
      if (n_tokens_ >= kTokensAtATime) BELAY_RETURN_IF_ERROR(flush());
    }
    return {};
  }
  Status flush() {
    if (windows_.empty()) return {};
    BELAY_ASSIGN_OR_RETURN(const auto scores, model::score(ctx_, env_, model_, windows_));
    for (std::size_t w = 0; w < scores.size(); ++w) {
      for (std::size_t i = first_counted_[w]; i < scores[w].size(); ++i) {
        nats_ -= static_cast<double>(scores[w][i]);
      }
    }
    windows_.clear();
    first_counted_.clear();
    n_tokens_ = 0;
    return {};
  }
  double nats() const { return nats_; }

 private:
  base::Context& ctx_;
  base::Env& env_;
  const model::Model& model_;
  std::size_t width_, stride_, n_tokens_ = 0;
  model::Documents windows_;
  std::vector<std::size_t> first_counted_;  // of a window's log-probabilities
  double nats_ = 0;
};

}  // namespace

double Validation::bits_per_byte() const {
  return n_bytes == 0 ? 0 : nats / (std::numbers::ln2 * static_cast<double>(n_bytes));
}

base::Result<Validation> validate(base::Context& ctx, base::Env& env, const model::Model& model,
                                  const data::Dataset& dataset, const ValidationOptions& options) {
  const data::TokenStream& stream = dataset.valid();
  const bool marked = stream.end_of_text().has_value();
  const double guess = std::log(static_cast<double>(dataset.vocab_size()));
  const std::int64_t end =
      options.max_tokens > 0 ? std::min(options.max_tokens, stream.n_tokens()) : stream.n_tokens();
  Scorer scorer(ctx, env, model, options);
  Validation v;
  std::vector<std::int32_t> ids;
  for (std::int64_t d = 0; d < stream.n_documents() && stream.document_begin(d) < end; ++d) {
    const std::int64_t begin = stream.document_begin(d);
    ids.resize(static_cast<std::size_t>(std::min(end, stream.document_begin(d + 1)) - begin));
    stream.read(begin, ids);
    v.n_tokens += static_cast<std::int64_t>(ids.size()) - (marked ? 1 : 0);
    if (!marked) v.nats += guess;
    for (std::size_t i = marked ? 1 : 0; i < ids.size(); ++i) {
      v.n_bytes += static_cast<std::int64_t>(dataset.tokenizer().token_bytes(ids[i]).size());
    }
    BELAY_RETURN_IF_ERROR(scorer.add(ids));
  }
  BELAY_RETURN_IF_ERROR(scorer.flush());
  v.nats += scorer.nats();
  // A tokenizer may normalize: of the whole split the raw bytes are known.
  if (end == stream.n_tokens()) v.n_bytes = stream.n_text_bytes();
  return v;
}

}  // namespace belay::train
