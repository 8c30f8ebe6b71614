#include <fmt/core.h>

#include "base/units.h"
#include "bench/report_parts.h"

namespace belay::bench {
namespace {

using nlohmann::ordered_json;

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

ordered_json rows_json(const TrainResult& r) {
  ordered_json rows = ordered_json::array();
  for (const tensor::ProfileRow& row : r.rows) {
    rows.push_back({{"name", row.name},
                    {"ms", row.seconds * 1e3},
                    {"percent", 100 * row.seconds / r.profiled_seconds},
                    {"gflops", rate(row.flops, row.seconds) * 1e-9},
                    {"gbs", rate(row.bytes, row.seconds) * 1e-9},
                    {"calls", row.calls}});
  }
  return rows;
}

ordered_json products_json(const TrainResult& r) {
  ordered_json rows = ordered_json::array();
  for (const StepProduct& p : r.products) {
    const MatmulShape s = p.matmul();
    rows.push_back({{"pass", pass_name(p.pass)},
                    {"m", s.m},
                    {"n", s.n},
                    {"k", s.k},
                    {"calls", p.calls},
                    {"ms", p.seconds * 1e3},
                    {"gflops", p.rate() * 1e-9}});
  }
  return rows;
}

std::string rows_text(const TrainResult& r) {
  std::string text = fmt::format("\n{:<26}{:>10}{:>8}{:>10}{:>8}{:>7}\n", "operation", "ms", "%",
                                 "GFLOP/s", "GB/s", "calls");
  double named = 0;
  const auto add = [&](const std::string& name, double seconds) {
    text += fmt::format("{:<26}{:>10.3f}{:>8.2f}", name, seconds * 1e3,
                        100 * seconds / r.profiled_seconds);
  };
  for (const tensor::ProfileRow& row : r.rows) {
    named += row.seconds;
    add(row.name, row.seconds);
    text += fmt::format("{:>10}{:>8}{:>7}\n", giga(rate(row.flops, row.seconds)),
                        giga(rate(row.bytes, row.seconds)), row.calls);
  }
  add("between operations", r.profiled_seconds - named);
  return text + "\n";
}

std::string products_text(const TrainResult& r) {
  std::string text = fmt::format("\n{:<18}{:>7}{:>7}{:>7}{:>7}{:>10}{:>10}\n", "product alone", "m",
                                 "n", "k", "calls", "ms", "GFLOP/s");
  for (const StepProduct& p : r.products) {
    const MatmulShape s = p.matmul();
    text += fmt::format("{:<18}{:>7}{:>7}{:>7}{:>7}{:>10.3f}{:>10}\n", pass_name(p.pass), s.m, s.n,
                        s.k, p.calls, p.seconds * 1e3, giga(p.rate()));
  }
  return text;
}

std::string rates_text(const TrainResult& r) {
  const double flops = r.flops_per_token * r.tokens_per_second;
  if (!r.product_flops) {
    return fmt::format("rate        {} GFLOP/s; the product rate is {}\n", giga(flops),
                       no_product_text(r.onednn_version));
  }
  return fmt::format(
      "rate        {} GFLOP/s = {} of oneDNN's 2048^3 product ({} between the steps, best {})\n"
      "bound       {}, were the step its own matrix products alone\n",
      giga(flops), ratio_text(r.mfu), giga(r.product_flops), giga(r.product_flops_best),
      ratio_text(r.products_bound));
}

}  // namespace

ordered_json train_json(const Machine& machine, const TrainShape& shape, const TrainBenchOptions& o,
                        const TrainResult& r) {
  ordered_json j = head_json(machine, shape, r.onednn_version);
  j["optimizer"] = o.muon ? "muon" : "adamw";
  j["checkpoint"] = o.checkpoint;
  j["steps"] = o.steps;
  j["params"] = r.n_params;
  j["tokens_per_step"] = shape.n_tokens();
  j["flops_per_token"] = r.flops_per_token;
  j["tokens_per_second"] = r.tokens_per_second;
  j["steps_per_second"] = 1 / r.step_seconds;
  j["step_seconds"] = {{"median", r.step_seconds},
                       {"low", r.step_interval.low},
                       {"high", r.step_interval.high},
                       {"best", r.best_step_seconds}};
  j["mfu"] = or_null(r.mfu);
  j["products_bound"] = or_null(r.products_bound);
  j["product_flops"] = or_null(r.product_flops);
  j["product_flops_best"] = or_null(r.product_flops_best);
  j["planned_bytes"] = r.planned_bytes;
  j["resident_bytes"] = r.resident_bytes;
  j["peak_rss_bytes"] = r.peak_rss_bytes;
  j["loss"] = r.final_loss;
  j["optimizer_ms"] = r.optimizer_seconds * 1e3;
  j["profiled_step_ms"] = r.profiled_seconds * 1e3;
  j["operations"] = rows_json(r);
  j["products"] = products_json(r);
  return j;
}

std::string train_text(const Machine& machine, const TrainShape& shape, const TrainBenchOptions& o,
                       const TrainResult& r) {
  const auto bytes = [](std::int64_t n) { return base::bytes_text(static_cast<std::uint64_t>(n)); };
  return head_text("train", machine, shape, r.onednn_version) +
         fmt::format("model       {} parameters, {} FLOPs a token, {}{}\n",
                     base::count_text(static_cast<double>(r.n_params)),
                     base::count_text(r.flops_per_token), o.muon ? "muon" : "adamw",
                     o.checkpoint ? ", blocks recomputed" : "") +
         fmt::format(
             "step        {:.2f} ms, median of {} (95 %: {:.2f} to {:.2f}; best {:.2f}), of "
             "which optimizer {:.2f}\n",
             r.step_seconds * 1e3, o.steps, r.step_interval.low * 1e3, r.step_interval.high * 1e3,
             r.best_step_seconds * 1e3, r.optimizer_seconds * 1e3) +
         fmt::format("speed       {:.0f} tokens/s, {:.3f} steps/s\n", r.tokens_per_second,
                     1 / r.step_seconds) +
         rates_text(r) +
         fmt::format("memory      planned {}, held {}, peak of the process {}\n",
                     bytes(r.planned_bytes), bytes(r.resident_bytes), bytes(r.peak_rss_bytes)) +
         fmt::format("loss        {:.4f} after the run\n", r.final_loss) + rows_text(r) +
         products_text(r);
}

}  // namespace belay::bench
