// belay bench: the speed of a training step and of each operation, against the roofline that is
// measured in the same run.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/cpu.h"
#include "base/json.h"
#include "bench/report.h"
#include "cli/bench_generate.h"
#include "cli/compute.h"
#include "cli/time_to_loss.h"
#include "cli/verbs.h"

namespace belay::cli {
namespace {

constexpr int kMostSteps = 100000;

struct BenchArguments {
  std::string shape = "S", optimizer = "adamw", filter;
  int steps = 10;
  bool checkpoint = false, json = false;
  ComputeOptions compute;
};

bench::Machine machine_of(const Compute& compute) {
  return {std::string(base::isa_name(compute.ctx.isa)),
          std::string(tensor::dtype_name(compute.dtype)), compute.threads->size()};
}

base::Status check_train(const BenchArguments& o) {
  BELAY_RETURN_IF_ERROR(check_range("--steps", o.steps, 1, kMostSteps));
  if (o.optimizer != "adamw" && o.optimizer != "muon") {
    return base::invalid_argument({.where = "--optimizer",
                                   .what = "is not known",
                                   .seen = base::printable(o.optimizer),
                                   .allowed = "adamw, muon"});
  }
  return {};
}

/// --json prints the document, else the text.
template <class Json, class Text>
ExitCode print(const BenchArguments& o, Json&& json, Text&& text) {
  if (o.json) {
    print_json(json());
  } else {
    std::fputs(text().c_str(), stdout);
  }
  return ExitCode::kDone;
}

base::Result<ExitCode> run_train(Verbs& verbs, const BenchArguments& o) {
  BELAY_RETURN_IF_ERROR(check_train(o));
  BELAY_ASSIGN_OR_RETURN(const bench::TrainShape* shape, bench::find_shape(o.shape));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  const bench::TrainBenchOptions options{.dtype = compute.dtype,
                                         .steps = o.steps,
                                         .muon = o.optimizer == "muon",
                                         .checkpoint = o.checkpoint};
  verbs.log.info("shape {}: {}; {}", shape->name, shape->about(), compute.text());
  BELAY_ASSIGN_OR_RETURN(const bench::TrainResult result,
                         bench::bench_train(compute.ctx, verbs.env, *shape, options));
  const bench::Machine machine = machine_of(compute);
  return print(
      o, [&] { return bench::train_json(machine, *shape, options, result); },
      [&] { return bench::train_text(machine, *shape, options, result); });
}

base::Result<ExitCode> run_ops(Verbs& verbs, const BenchArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const bench::TrainShape* shape, bench::find_shape(o.shape));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  verbs.log.info("shape {}: {}; {}", shape->name, shape->about(), compute.text());
  BELAY_ASSIGN_OR_RETURN(
      const bench::OpBenchResult result,
      bench::bench_ops(compute.ctx, *shape, {.dtype = compute.dtype, .filter = o.filter}));
  const bench::Machine machine = machine_of(compute);
  return print(
      o, [&] { return bench::ops_json(machine, *shape, result); },
      [&] { return bench::ops_text(machine, *shape, result); });
}

std::string shape_help() {
  std::string text;
  for (const bench::TrainShape& s : bench::train_shapes()) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : "; ", s.name, s.about());
  }
  return text;
}

void add_common(Verb verb, BenchArguments& o) {
  verb.option("--shape", o.shape, shape_help()).type("NAME");
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
}

void add_train(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<BenchArguments>();
  BenchArguments& o = *options;
  Verb verb = verbs.add(parent,
                        {.name = "train",
                         .about = "A whole training step: speed, memory, and where the time goes",
                         .examples = {"bench train --shape S --dtype bf16 --json",
                                      "bench train --shape nano --steps 200 --optimizer muon"}},
                        [&verbs, options] { return run_train(verbs, *options); });
  verb.option("--steps", o.steps, "Steps that are timed, after two that are not");
  verb.option("--optimizer", o.optimizer, "adamw or muon");
  verb.flag("--checkpoint", o.checkpoint, "Recompute blocks in backward");
  add_common(verb, o);
}

void add_ops(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<BenchArguments>();
  BenchArguments& o = *options;
  Verb verb =
      verbs.add(parent,
                {.name = "ops",
                 .about = "Each operation and product alone, against roofline and oneDNN",
                 .examples = {"bench ops --dtype bf16", "bench ops --filter attention --json",
                              "bench ops --filter 'product weight'"}},
                [&verbs, options] { return run_ops(verbs, *options); });
  verb.option("--filter", o.filter, "Only names that hold this text").type("TEXT");
  add_common(verb, o);
}

}  // namespace

void add_bench(Verbs& verbs) {
  Verb verb = verbs.add(
      {.name = "bench",
       .about = "Speed of training, generation and operations, against the measured roofline",
       .examples = {"bench train --shape S --json", "bench ops --filter rmsnorm"}},
      []() -> base::Result<ExitCode> {
        return base::invalid_argument({.what = "belay bench needs to know what to measure",
                                       .allowed = "train, ops, prefill, decode, time-to-loss",
                                       .next = "see belay bench --help"});
      });
  add_train(verbs, verb);
  add_ops(verbs, verb);
  add_bench_generate(verbs, verb);
  add_time_to_loss(verbs, verb);
}

}  // namespace belay::cli
