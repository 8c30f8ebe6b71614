// The speed of generation at a shape, through the engine: a prompt until its first token (prefill),
// and token after token of several texts at once (decode); against the read bandwidth and the
// packed product that are measured in the same run.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/env.h"
#include "bench/report.h"
#include "model/model.h"
#include "stats/summary.h"

namespace belay::bench {

enum class GenerateKind : std::uint8_t { kPrefill, kDecode };

struct GenerateBenchOptions {
  GenerateKind kind = GenerateKind::kDecode;
  std::int64_t prompt = 512;  // ids of each prompt
  std::int64_t tokens = 128;  // of each text (prefill: one)
  std::int64_t rows = 1;      // texts at once
  int kv_bits = 0;            // of keys and values; 0: as computed
  int repeats = 3;
  bool roofline = true;  // false: oneDNN is left alone
};

struct GenerateResult {
  double tokens_per_second = 0;  // median over the repeats
  stats::Interval interval;      // from the least to the most of them
  /// What a step over few rows reads at least: the packed weights, and keys and values of the texts
  /// in the middle of their generation.
  double weight_bytes = 0, cache_bytes = 0;
  double flops_per_token = 0;  // of products and attention in the forward
  double read_bandwidth = 0;   // bytes a second; median of samples around each repeat
  double bandwidth_share = 0;  // decode: median of each repeat's over the mean of the two around it
  std::optional<double> product_flops;
  std::string onednn_version;
  std::int64_t planned_bytes = 0;
  std::int64_t peak_rss_bytes = 0;  // of the process, before the yardsticks take theirs
  double seconds_per_step = 0;      // decode: of all texts' next tokens
};

GenerateResult bench_generate(base::Context& ctx, base::Env& env, const model::Model& model,
                              const GenerateBenchOptions& options);

/// Shapes that peers are measured at: Q, Qwen3-0.6B's, and m, of 36 million parameters.
struct GenerateShape {
  std::string_view name;
  model::ModelConfig config;
  std::string about() const;
};
base::Result<GenerateShape> generate_shape(std::string_view name);

nlohmann::ordered_json generate_json(const Machine& machine, const std::string& model,
                                     const GenerateBenchOptions& options,
                                     const GenerateResult& result);
std::string generate_text(const Machine& machine, const std::string& model,
                          const GenerateBenchOptions& options, const GenerateResult& result);

}  // namespace belay::bench
