#include "infer/continuation.h"

#include <algorithm>

namespace belay::infer {

base::Result<Continuation> continue_ids(Engine& engine, std::span<const std::int32_t> prompt,
                                        const ContinuationOptions& options,
                                        const std::function<bool(std::int32_t)>& on_token) {
  const auto most = static_cast<std::size_t>(engine.room()),
             half = std::max<std::size_t>(1, most / 2);
  std::vector<std::int32_t> all(prompt.begin(), prompt.end());
  Continuation result;
  const auto left = [&] {
    return options.max_tokens - static_cast<std::int64_t>(result.ids.size());
  };
  const auto is_stop = [&](std::int32_t id) {
    return std::find(options.stop_ids.begin(), options.stop_ids.end(), id) !=
           options.stop_ids.end();
  };
  Ending ending = Ending::kContext;
  while (ending == Ending::kContext && left() > 0) {
    const std::size_t keep = all.size() < most ? all.size() : half;
    Request request{.prompt = {all.end() - static_cast<std::ptrdiff_t>(keep), all.end()},
                    .max_tokens = left(),
                    .sampler = options.sampler,
                    .vocab_size = options.vocab_size,
                    .stop_ids = options.stop_ids,
                    .first_index = all.size() - keep};
    request.on_token = [&](std::int64_t, const Token& token, std::string_view) {
      if (is_stop(token.id)) return true;
      all.push_back(token.id);
      result.ids.push_back(token.id);
      return !on_token || on_token(token.id);
    };
    BELAY_ASSIGN_OR_RETURN(const auto made, complete(engine, std::move(request)));
    ending = made.front().ending;
  }
  if (ending == Ending::kNotFinite) {
    return base::corrupt({.where = "model",
                          .what = "gives a log-probability that is not finite",
                          .next = "the weights are damaged, or too large for the compute type"});
  }
  result.stopped = ending == Ending::kStopId;
  return result;
}

}  // namespace belay::infer
