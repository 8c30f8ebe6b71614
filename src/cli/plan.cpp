// belay plan: what a run of `belay pretrain` with the same options would take, before it is paid
// for.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "cli/pretrain_plan.h"
#include "cli/pretrain_report.h"
#include "cli/verbs.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::ordered_json;

Result<ExitCode> run_plan(Verbs& verbs, const PretrainArguments& a) {
  BELAY_ASSIGN_OR_RETURN(train::PretrainOptions options, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(const RunData data, open_run_data(verbs.env, a.data));
  BELAY_ASSIGN_OR_RETURN(const model::ModelConfig config, config_of_run(verbs.env, a, data.set));
  BELAY_RETURN_IF_ERROR(apply_dial(a, config, data.set, options));
  BELAY_ASSIGN_OR_RETURN(train::PretrainPlan plan,
                         train::plan_state(verbs.env, config, compute.dtype, a.context, options));
  plan.price_per_hour = a.price_per_hour;
  model::Model model(config, compute.dtype, true, a.context);
  BELAY_RETURN_IF_ERROR(train::plan_step(compute.ctx, verbs.env, model, a.context, options, plan));
  model.initialize(compute.ctx, a.seed);
  measure_time(verbs.env, compute, model, a, options, data.set, plan);
  if (!a.json) {
    fmt::print("{}\n", plan_text(plan, config, options, a, data.set, compute));
    return ExitCode::kDone;
  }
  ordered_json document = train::plan_json(plan);
  document["processor"] = base::cpu_model();
  document["threads"] = compute.threads->size();
  document["isa"] = base::isa_name(compute.ctx.isa);
  document["dtype"] = tensor::dtype_name(compute.dtype);
  print_json(document);
  return ExitCode::kDone;
}

}  // namespace

void add_plan(Verbs& verbs) {
  auto arguments = std::make_shared<PretrainArguments>();
  Verb verb = verbs.add(
      {.name = "plan",
       .about = "Parameters, memory, time, disk and money of a run, from a few real steps of it",
       .examples = {"plan --data shards --depth 4 --steps 2000",
                    "plan --depth 12 --max-seconds 86400 --price-per-hour 2.5",
                    "plan --data shards --depth 6 --steps 10000 --json"}},
      [&verbs, arguments] { return run_plan(verbs, *arguments); });
  add_plan_options(verb, *arguments);
}

}  // namespace belay::cli
