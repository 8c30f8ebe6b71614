#include <fmt/core.h>

#include "bench/report_parts.h"

namespace belay::bench {
namespace {

using nlohmann::ordered_json;

std::optional<double> product_ratio(const ProductRow& row) {
  if (!row.onednn_flops) return std::nullopt;
  return row.product.rate() / *row.onednn_flops;
}

std::string operations_text(const OpBenchResult& r) {
  std::string text = fmt::format("\n{:<26}{:>10}{:>10}{:>8}  {:<8}{:>10}\n", "operation", "ms",
                                 "GFLOP/s", "GB/s", "bound", "roofline");
  for (const OpRow& row : r.operations) {
    text += fmt::format("{:<26}{:>10.3f}{:>10}{:>8}  {:<8}{:>10}\n", row.name, row.seconds * 1e3,
                        giga(row.flops / row.seconds), giga(row.bytes / row.seconds),
                        row.compute_bound ? "compute" : "memory", ratio_text(row.ratio));
  }
  return r.operations.empty() ? "" : text;
}

std::string products_text(const OpBenchResult& r) {
  std::string text = fmt::format("\n{:<46}{:>9}{:>10}{:>10}{:>8}\n", "m x n x k", "ms", "GFLOP/s",
                                 "oneDNN", "ratio");
  for (const ProductRow& row : r.products) {
    text += fmt::format("{:<46}{:>9.3f}{:>10}{:>10}{:>8}\n", row.name, row.product.seconds * 1e3,
                        giga(row.product.rate()), giga(row.onednn_flops),
                        ratio_text(product_ratio(row)));
  }
  return r.products.empty() ? "" : text;
}

}  // namespace

ordered_json ops_json(const Machine& machine, const TrainShape& shape, const OpBenchResult& r) {
  ordered_json j = head_json(machine, shape, r.onednn_version);
  j["product_flops"] = or_null(r.product_flops);
  j["read_bandwidth"] = r.read_bandwidth;
  j["operations"] = ordered_json::array();
  for (const OpRow& row : r.operations) {
    j["operations"].push_back({{"name", row.name},
                               {"ms", row.seconds * 1e3},
                               {"gflops", row.flops / row.seconds * 1e-9},
                               {"gbs", row.bytes / row.seconds * 1e-9},
                               {"bound", row.compute_bound ? "compute" : "memory"},
                               {"roofline", or_null(row.ratio)}});
  }
  j["products"] = ordered_json::array();
  for (const ProductRow& row : r.products) {
    const MatmulShape s = row.product.matmul();
    const ordered_json theirs =
        row.onednn_flops ? ordered_json(*row.onednn_flops * 1e-9) : ordered_json();
    j["products"].push_back({{"pass", pass_name(row.product.pass)},
                             {"m", s.m},
                             {"n", s.n},
                             {"k", s.k},
                             {"calls", row.product.calls},
                             {"ms", row.product.seconds * 1e3},
                             {"gflops", row.product.rate() * 1e-9},
                             {"onednn_gflops", theirs},
                             {"ratio", or_null(product_ratio(row))}});
  }
  return j;
}

std::string ops_text(const Machine& machine, const TrainShape& shape, const OpBenchResult& r) {
  const std::string product = r.product_flops
                                  ? giga(r.product_flops) + " GFLOP/s (oneDNN, packed 2048^3)"
                                  : no_product_text(r.onednn_version);
  return head_text("operations", machine, shape, r.onednn_version) +
         fmt::format("roofline    product {}; memory is read at {} GB/s\n", product,
                     giga(r.read_bandwidth)) +
         operations_text(r) + products_text(r);
}

}  // namespace belay::bench
