#include "infer/byte_sample.h"

#include <algorithm>

#include "infer/generate.h"

namespace belay::infer {

std::string sample_bytes(base::Context& ctx, const model::Model& model, std::string_view prompt,
                         std::int64_t n_bytes, std::int64_t context,
                         const SamplerOptions& options) {
  Generator generator(ctx, model, context);
  std::vector<std::int32_t> ids;
  for (const char c : prompt) ids.push_back(static_cast<unsigned char>(c));
  const std::size_t end = ids.size() + static_cast<std::size_t>(n_bytes);
  const auto half = static_cast<std::size_t>(context / 2);
  while (ids.size() < end) {
    const std::size_t kept = std::min(ids.size(), half);
    const std::size_t n = std::min(end - ids.size(), static_cast<std::size_t>(context) - kept);
    const auto more = generate(generator, std::span(ids).last(kept),
                               {.max_tokens = static_cast<std::int64_t>(n),
                                .sampler = options,
                                .first_index = ids.size()});
    ids.insert(ids.end(), more.begin(), more.end());
  }
  std::string text;
  for (std::size_t i = prompt.size(); i < ids.size(); ++i) text += static_cast<char>(ids[i]);
  return text;
}

}  // namespace belay::infer
