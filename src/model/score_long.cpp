#include "model/score_long.h"

#include <algorithm>

namespace belay::model {
namespace {

constexpr std::int64_t kBatchesAtATime = 16;

}  // namespace

base::Result<std::vector<float>> score_long(base::Context& ctx, base::Env& env, const Model& model,
                                            std::span<const std::int32_t> ids, std::int64_t context,
                                            const ScoreOptions& options,
                                            const std::function<void(std::size_t)>& on_progress) {
  BELAY_CHECK(context >= 2 && context <= model.max_positions(), "a context that the model has");
  const auto window = static_cast<std::size_t>(context), stride = window - window / 2;
  const auto at_a_time = static_cast<std::size_t>(
      std::max<std::int64_t>(1, kBatchesAtATime * options.batch_tokens / context));
  std::vector<float> result;
  if (ids.size() < 2) return result;
  result.reserve(ids.size() - 1);
  for (std::size_t begin = 0; result.size() + 1 < ids.size();) {
    Documents windows;
    std::size_t end = result.size() + 1;  // of what the windows have scored
    for (; windows.size() < at_a_time && end < ids.size(); begin += stride) {
      end = std::min(begin + window, ids.size());
      windows.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                           ids.begin() + static_cast<std::ptrdiff_t>(end));
    }
    BELAY_ASSIGN_OR_RETURN(const auto scores, score(ctx, env, model, windows, options));
    std::size_t first = begin - stride * windows.size();
    for (const std::vector<float>& one : scores) {
      // one[i] is of token first + i + 1; those up to result.size() are there already.
      const std::size_t known = result.size() - first;
      result.insert(result.end(), one.begin() + static_cast<std::ptrdiff_t>(known), one.end());
      first += stride;
    }
    if (on_progress) on_progress(result.size());
  }
  return result;
}

}  // namespace belay::model
