#include <fmt/core.h>

#include "base/cpu.h"
#include "base/units.h"
#include "base/version.h"
#include "bench/generate_bench.h"
#include "bench/report_parts.h"

namespace belay::bench {

using nlohmann::ordered_json;

namespace {

/// What bounds the rate: reading for few rows, products for many.
double bytes_per_second(const GenerateResult& r) {
  return r.seconds_per_step > 0 ? (r.weight_bytes + r.cache_bytes) / r.seconds_per_step : 0;
}

}  // namespace

ordered_json generate_json(const Machine& machine, const std::string& model,
                           const GenerateBenchOptions& o, const GenerateResult& r) {
  const double flops = r.flops_per_token * r.tokens_per_second;
  ordered_json j = {
      {"bench", o.kind == GenerateKind::kPrefill ? "prefill" : "decode"},
      {"model", model},
      {"machine", base::cpu_model()},
      {"isa", machine.isa},
      {"threads", machine.threads},
      {"dtype", machine.dtype},
      {"belay", base::kFullVersion},
      {"prompt", o.prompt},
      {"rows", o.rows},
      {"kv_bits", o.kv_bits == 0 ? ordered_json() : ordered_json(o.kv_bits)},
      {"tokens_per_second", r.tokens_per_second},
      {"tokens_per_second_interval", {r.interval.low, r.interval.high}},
      {"gflops", flops * 1e-9},
      {"product_gflops", r.product_flops ? ordered_json(*r.product_flops * 1e-9) : ordered_json()},
      {"read_bandwidth_gbs", r.read_bandwidth * 1e-9},
      {"weight_bytes", r.weight_bytes},
      {"cache_bytes", r.cache_bytes},
      {"planned_bytes", r.planned_bytes},
      {"peak_rss_bytes", r.peak_rss_bytes}};
  if (o.kind == GenerateKind::kPrefill) {
    j["first_token_ms"] = 1e3 * static_cast<double>(o.prompt) / r.tokens_per_second;
  } else {
    j["tokens"] = o.tokens;
    j["step_ms"] = r.seconds_per_step * 1e3;
    j["read_gbs"] = bytes_per_second(r) * 1e-9;
    j["share_of_bandwidth"] = r.bandwidth_share;
  }
  return j;
}

std::string generate_text(const Machine& machine, const std::string& model,
                          const GenerateBenchOptions& o, const GenerateResult& r) {
  const bool prefill = o.kind == GenerateKind::kPrefill;
  const double flops = r.flops_per_token * r.tokens_per_second;
  std::string text = fmt::format(
      "{:<12}{}, {}\nmachine     {}, {}, {} threads, belay {}\n", prefill ? "prefill" : "decode",
      model, machine.dtype, base::cpu_model(), machine.isa, machine.threads, base::kFullVersion);
  text +=
      fmt::format("speed       {:.1f} tokens a second ({:.1f} to {:.1f}), {}\n",
                  r.tokens_per_second, r.interval.low, r.interval.high,
                  prefill ? fmt::format("first token of a prompt of {} after {:.1f} ms", o.prompt,
                                        1e3 * static_cast<double>(o.prompt) / r.tokens_per_second)
                          : fmt::format("{} text{} at once, {:.2f} ms a step", o.rows,
                                        o.rows == 1 ? "" : "s", r.seconds_per_step * 1e3));
  if (!prefill) {
    text += fmt::format("reading     {} GB/s = {:.2f} of the memory's {} GB/s\n",
                        giga(bytes_per_second(r)), r.bandwidth_share, giga(r.read_bandwidth));
  }
  text += fmt::format(
      "products    {} GFLOP/s = {} of oneDNN's 2048^3 product ({})\n", giga(flops),
      ratio_text(r.product_flops ? std::optional(flops / *r.product_flops) : std::nullopt),
      giga(r.product_flops));
  return text + fmt::format("memory      {} planned, {} at the peak\n",
                            base::bytes_text(static_cast<std::uint64_t>(r.planned_bytes)),
                            base::bytes_text(static_cast<std::uint64_t>(r.peak_rss_bytes)));
}

}  // namespace belay::bench
