#include "bench/op_bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/json.h"
#include "bench/op_cases.h"
#include "train/step.h"

namespace belay::bench {
namespace {

bool wanted(const OpBenchOptions& o, const std::string& name) {
  return name.find(o.filter) != std::string::npos;
}

/// Fastest replay, by operation and phase.
void time_tape(base::Context& ctx, const TrainShape& shape, const TapeCase& which,
               const OpBenchOptions& o, std::vector<OpRow>& rows) {
  Recorder recorder(ctx, shape, o.dtype);
  which.record(recorder);
  if (which.backward) recorder.tape.backward();
  tensor::Exec exec(ctx, std::move(recorder.tape));
  exec.replay();
  exec.profile(true);
  std::map<std::string, double> total, best;
  best_seconds(o.repeats, [&] {
    exec.replay();
    for (const tensor::ProfileRow& row : exec.profile_rows()) {
      const double seconds = row.seconds - std::exchange(total[row.name], row.seconds);
      const auto [at, first] = best.try_emplace(row.name, seconds);
      at->second = std::min(at->second, seconds);
    }
  });
  for (const tensor::ProfileRow& row : exec.profile_rows()) {
    const auto calls = static_cast<double>(row.calls);
    rows.push_back({row.name, best[row.name], row.flops / calls, row.bytes / calls});
  }
}

void time_call(base::Context& ctx, const TrainShape& shape, const CallCase& which,
               const OpBenchOptions& o, std::vector<OpRow>& rows) {
  Recorder recorder(ctx, shape, o.dtype);
  const Called called = which.prepare(recorder);
  rows.push_back({which.name, best_seconds(o.repeats, called.call), called.flops, called.bytes});
}

std::vector<ProductRow> named_products(base::Context& ctx, const TrainShape& shape,
                                       tensor::DType dtype) {
  // Recorded, never run: the memory of model and step stays untouched.
  const model::Model model(shape.config, dtype, true, shape.context);
  train::Step step(ctx, model, {.n_tokens = shape.n_tokens(), .longest = shape.context});
  std::vector<ProductRow> rows;
  for (const StepProduct& p : products_of(step.exec().tape(), shape.config.vocab_size)) {
    const MatmulShape s = p.matmul();
    const std::string name =
        fmt::format("product {} {} x {} x {}", pass_name(p.pass), s.m, s.n, s.k);
    rows.push_back({name, p, std::nullopt});
  }
  return rows;
}

base::Status nothing_named(const OpBenchOptions& o) {
  std::string names;
  std::vector<std::string_view> candidates = {"product"};
  for (const TapeCase& c : tape_cases()) candidates.push_back(c.name);
  for (const CallCase& c : call_cases()) candidates.push_back(c.name);
  for (const std::string_view name : candidates) names += fmt::format(", {}", name);
  const auto near = base::nearest(o.filter, candidates);
  return base::invalid_argument({.where = "--filter",
                                 .what = "is in no name",
                                 .seen = base::printable(o.filter),
                                 .allowed = names.substr(2),
                                 .next = near ? "did you mean " + *near + "?" : ""});
}

void compare(OpRow& row, const OpBenchResult& r) {
  const double moved = row.bytes / r.read_bandwidth;
  if (!r.product_flops) {
    // Without a product rate: the operations whose flops no machine of today would notice.
    row.compute_bound = row.flops > 32 * row.bytes;
    if (!row.compute_bound) row.ratio = moved / row.seconds;
    return;
  }
  const double computed = row.flops / *r.product_flops;
  row.compute_bound = computed > moved;
  row.ratio = std::max(computed, moved) / row.seconds;
}

}  // namespace

base::Result<OpBenchResult> bench_ops(base::Context& ctx, const TrainShape& shape,
                                      const OpBenchOptions& o) {
  OpBenchResult r;
  r.products = named_products(ctx, shape, o.dtype);
  std::erase_if(r.products, [&](const ProductRow& p) { return !wanted(o, p.name); });
  const auto named = [&](const auto& c) {
    return wanted(o, c.name) || wanted(o, c.name + " backward");
  };
  if (r.products.empty() && std::none_of(tape_cases().begin(), tape_cases().end(), named) &&
      std::none_of(call_cases().begin(), call_cases().end(), named)) {
    return nothing_named(o);
  }
  ProductRate yardstick(o.dtype, ctx.threads.size(), o.roofline, o.repeats);
  r.onednn_version = yardstick.version();
  yardstick.sample();
  r.read_bandwidth = ReadRate(ctx, o.read_bytes).sample();
  for (const TapeCase& c : tape_cases()) {
    if (named(c)) time_tape(ctx, shape, c, o, r.operations);
  }
  for (const CallCase& c : call_cases()) {
    if (named(c)) time_call(ctx, shape, c, o, r.operations);
  }
  std::erase_if(r.operations, [&](const OpRow& row) { return !wanted(o, row.name); });
  for (ProductRow& row : r.products) {
    row.product.seconds = time_product(ctx, row.product, o.dtype, o.repeats);
    row.onednn_flops = yardstick.product(row.product.matmul());
  }
  yardstick.sample();
  r.product_flops = yardstick.best();
  for (OpRow& row : r.operations) compare(row, r);
  return r;
}

}  // namespace belay::bench
