#include "convert/parity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "infer/model_step.h"
#include "model/model.h"
#include "model/score.h"
#include "model/weights.h"
#include "ops/attention.h"

namespace belay::convert {
namespace {

using base::Result;

std::int32_t best(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double log_sum(std::span<const float> logits) {
  const double most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v) - most);
  return most + std::log(sum);
}

model::Model to_compute(base::Context& ctx, model::LoadedModel loaded, std::int64_t positions) {
  model::Model model(loaded.config, tensor::DType::kF32, false, positions);
  model.load(ctx, loaded.weights);
  return model;
}

/// Reads one text id by id.
class Reader {
 public:
  Reader(base::Context& ctx, const model::Model& model, std::int64_t most)
      : pages_(model.config(), model.compute(), ops::ceil_div(most, ops::kPageTokens)),
        table_(static_cast<std::size_t>(pages_.n_pages())),
        step_(ctx, model, pages_,
              {.rows = 1, .segments = 1, .longest = most, .table = pages_.n_pages()}) {
    std::iota(table_.begin(), table_.end(), 0);
  }
  /// The logits of what follows; valid until the next call.
  std::span<const float> feed(std::int32_t id) {
    step_.begin();
    step_.add({&id, 1}, past_++, table_);
    step_.run();
    const std::int32_t row = 0;
    return step_.logits({&row, 1});
  }

 private:
  model::KvPages pages_;
  std::vector<std::int32_t> table_;
  infer::ModelStep step_;
  std::int64_t past_ = 0;
};

}  // namespace

double divergence(std::span<const float> a, std::span<const float> b) {
  const double all_a = log_sum(a), all_b = log_sum(b);
  double kl = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double log_a = static_cast<double>(a[i]) - all_a;
    kl += std::exp(log_a) * (log_a - (static_cast<double>(b[i]) - all_b));
  }
  return std::max(0.0, kl);
}

Result<WeightDifference> weight_difference(const model::LoadedModel& a,
                                           const model::LoadedModel& b) {
  const auto table = model::weight_table(a.config);
  WeightDifference difference;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (a.weights.size() != b.weights.size() || a.weights[i].size() != b.weights[i].size()) {
      return base::corrupt({.where = "weight " + table[i].name(),
                            .what = "has another size, or is missing, in the other model"});
    }
    for (std::size_t j = 0; j < a.weights[i].size(); ++j) {
      const double d =
          std::fabs(static_cast<double>(a.weights[i][j]) - static_cast<double>(b.weights[i][j]));
      if (d > difference.largest) difference = {d, table[i].name()};
    }
  }
  return difference;
}

Result<Parity> compare_models(base::Context& ctx, base::Env& env, model::LoadedModel a,
                              model::LoadedModel b, std::span<const std::int32_t> prompt,
                              std::int64_t n_greedy) {
  BELAY_CHECK(!prompt.empty() && n_greedy >= 0, "a prompt to compare models on");
  Parity parity;
  BELAY_ASSIGN_OR_RETURN(parity.weights, weight_difference(a, b));
  const std::int64_t most = std::min({a.config.max_position, b.config.max_position,
                                      static_cast<std::int64_t>(prompt.size()) + n_greedy});
  BELAY_RETURN_IF_ERROR(model::check_model_fits(env, a.config, tensor::DType::kF32, false));
  BELAY_RETURN_IF_ERROR(model::check_model_fits(env, b.config, tensor::DType::kF32, false));
  const model::Model first = to_compute(ctx, std::move(a), most);
  const model::Model second = to_compute(ctx, std::move(b), most);
  Reader first_reads(ctx, first, most), second_reads(ctx, second, most);
  std::int32_t id = prompt.front();
  for (std::int64_t t = 0; t < most; ++t) {
    const auto i = static_cast<std::size_t>(t);
    if (i < prompt.size()) id = prompt[i];
    const std::span<const float> x = first_reads.feed(id);
    const std::span<const float> y = second_reads.feed(id);
    parity.mean_kl += divergence(x, y);
    ++parity.n_positions;
    id = best(x);
    if (i + 1 < prompt.size() || t + 1 == most) continue;
    parity.greedy.push_back(id);
    if (best(y) == id) ++parity.n_same;
  }
  parity.mean_kl /= static_cast<double>(parity.n_positions);
  return parity;
}

}  // namespace belay::convert
