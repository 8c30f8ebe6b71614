#include "cli/pretrain_resume.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/cpu.h"
#include "base/version.h"
#include "train/dial.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

/// About this command and not about the run.
const std::set<std::string> kOfTheCommand = {"help", "config",    "resume",
                                             "out",  "overwrite", "json"};
/// May differ without a change of the result.
const std::set<std::string> kHarmless = {
    "threads",      "isa",        "data",        "checkpoint-seconds", "checkpoint-steps",
    "eval-seconds", "eval-steps", "eval-tokens", "price-per-hour",     "keep-fork"};

bool same_value(const std::string& a, const std::string& b) {
  if (a == b) return true;
  char *end_a = nullptr, *end_b = nullptr;
  const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  return !a.empty() && !b.empty() && *end_a == '\0' && *end_b == '\0' && x == y;
}

Status other_value(const std::string& name, const std::string& typed, const std::string& stored,
                   const std::string& run_folder) {
  return base::invalid_argument(
      {.where = "--" + name,
       .what = "differs from the run that is resumed",
       .seen = base::printable(typed),
       .allowed = base::printable(stored),
       .next =
           fmt::format("leave it out, or begin a new run with another --out than {}", run_folder)});
}

/// The clock only cuts a run of steps off; else it makes the schedule.
bool may_differ(const std::string& name, const base::JsonReader& options) {
  if (name != "max-seconds") return kHarmless.contains(name);
  const auto steps = options.optional_string("steps", "0");
  return steps.ok() && *steps != "0";
}

Status check_keys(const base::JsonReader& options, const std::vector<OptionValue>& known) {
  for (const std::string& key : options.keys()) {
    const auto is_key = [&](const OptionValue& option) { return option.name == key; };
    if (std::any_of(known.begin(), known.end(), is_key)) continue;
    return options.error(base::Code::kUnsupported, key, "is an option that this version lacks", "",
                         "resume with the version that began the run");
  }
  return {};
}

/// What was chosen by itself stays as it was chosen, where this machine can: it decides the bits.
Status keep_machine(const base::JsonReader& manifest, ComputeOptions& compute) {
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader machine, manifest.require_object("machine"));
  BELAY_ASSIGN_OR_RETURN(const std::string isa, machine.optional_string("isa", "auto"));
  BELAY_ASSIGN_OR_RETURN(const std::string dtype, machine.optional_string("dtype", "auto"));
  const auto& have = base::supported_isas();
  const auto known = base::parse_isa(isa);
  const bool possible = known && std::find(have.begin(), have.end(), *known) != have.end();
  if (compute.isa == "auto" && possible) compute.isa = isa;
  if (compute.dtype == "auto") compute.dtype = dtype;
  return {};
}

/// The first key whose values differ, or nothing: what is asked for before what follows from it.
std::string first_difference(const ordered_json& then, const ordered_json& now) {
  for (const auto& [key, value] : now.items()) {
    if (!then.contains(key) || then[key] != value) return key;
  }
  for (const auto& [key, value] : then.items()) {
    if (!now.contains(key)) return key;
  }
  return "";
}

std::string value_text(const ordered_json& object, const std::string& key) {
  return object.contains(key) ? base::printable(object[key].dump()) : "nothing";
}

}  // namespace

Result<PretrainArguments> resumed_arguments(Verb typed, const std::string& run_folder,
                                            const base::JsonReader& manifest) {
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader options, manifest.require_object("options"));
  PretrainArguments arguments;
  Parser parser("", "", "");
  add_options(parser.program(), arguments);
  BELAY_RETURN_IF_ERROR(check_keys(options, typed.options()));
  std::vector<std::string> args;
  for (const OptionValue& option : typed.options()) {
    const std::string& name = option.name;
    if (kOfTheCommand.contains(name)) continue;
    BELAY_ASSIGN_OR_RETURN(std::string value, options.optional_string(name, option.fallback));
    if (option.given) {
      if (!may_differ(name, options) && !same_value(*option.given, value)) {
        return other_value(name, *option.given, value, run_folder);
      }
      value = *option.given;
    }
    if (value != option.fallback) args.push_back("--" + name + "=" + value);
  }
  if (const auto parsed = parser.parse(std::move(args)); !parsed.ok()) {
    return manifest.error(base::Code::kCorrupt, "options",
                          "cannot be read: " + base::printable(parsed.status().message()));
  }
  arguments.out = run_folder;
  BELAY_RETURN_IF_ERROR(keep_machine(manifest, arguments.compute));
  return arguments;
}

ordered_json identity_of(const PretrainArguments& a, const train::PretrainOptions& o,
                         const ordered_json& data, const Compute& compute) {
  return {{"options",
           {{"depth", a.depth},
            {"width", a.width},
            {"family", a.family},
            {"rope_theta", a.rope_theta > 0 ? a.rope_theta : train::dial_rope_theta(a.context)},
            {"init_std", a.init_std},
            {"init_induction", first_attention(a) == model::FirstAttention::kInduction},
            {"context", a.context},
            {"seed", a.seed},
            {"row_order", a.row_order},
            {"batch_tokens", o.batch_tokens},
            {"micro_tokens", o.micro_tokens},
            {"optimizer", a.optimizer},
            {"lr", o.schedule.lr},
            {"muon_lr_ratio", o.optimizer.muon_lr_ratio},
            {"weight_decay", o.optimizer.weight_decay},
            {"clip", o.optimizer.clip},
            {"z_loss", o.z_loss},
            {"warmup_steps", o.schedule.warmup_steps},
            {"schedule", a.schedule},
            {"decay_share", o.schedule.decay_share},
            {"lr_floor", o.schedule.floor},
            {"steps", o.steps},
            {"schedule_seconds", o.steps > 0 ? 0 : o.max_seconds},
            {"dtype", tensor::dtype_name(compute.dtype)}}},
          {"data", data},
          {"machine", {{"isa", base::isa_name(compute.ctx.isa)}, {"version", base::kFullVersion}}}};
}

Status check_same_run(const ordered_json& of_checkpoint, const ordered_json& now,
                      const std::string& run_folder) {
  for (const char* part : {"options", "data"}) {
    const ordered_json then = of_checkpoint.value(part, ordered_json::object());
    const std::string key = first_difference(then, now[part]);
    if (key.empty()) continue;
    const bool data = std::string_view(part) == "data";
    return base::unsupported(
        {.where = fmt::format("{}: {} {}", run_folder, part, base::printable(key)),
         .what = data ? "is not that of the data that the run has learned from"
                      : "is not what its checkpoints were computed with",
         .seen = value_text(now[part], key),
         .allowed = value_text(then, key),
         .next = data ? "resume with the same data, or begin a new run"
                      : "restore run.json, or begin a new run"});
  }
  return {};
}

Status check_same_trunk(const ordered_json& of_checkpoint, const ordered_json& now,
                        const std::string& run_folder) {
  ordered_json then = of_checkpoint, same = now;
  for (const char* end : {"steps", "decay_share", "lr_floor"}) {
    then["options"].erase(end);
    same["options"].erase(end);
  }
  return check_same_run(then, same, run_folder);
}

std::string machine_difference(const ordered_json& of_checkpoint, const ordered_json& now) {
  const ordered_json then = of_checkpoint.value("machine", ordered_json::object());
  const std::string key = first_difference(then, now["machine"]);
  if (key.empty()) return "";
  return fmt::format("{} {}, before {}", key, value_text(now["machine"], key),
                     value_text(then, key));
}

}  // namespace belay::cli
