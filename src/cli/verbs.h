// The verbs of the program: one file each. A verb declares its options (they are declared nowhere
// else), and its run function turns them into a call of the library and a report.
//
//   void add_score(Verbs& verbs) {
//     auto options = std::make_shared<Options>();
//     Verb verb = verbs.add({.name = "score", .about = "...", .examples = {...}},
//                                [&verbs, options] { return run(verbs, *options); });
//     verb.option("model", options->model, "...");
//   }
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/options.h"

namespace belay::cli {

enum class ExitCode : std::uint8_t { kDone = 0, kFailed = 1, kWrongUsage = 2, kGateSaidNo = 3 };

/// What a verb does. A failure is printed by the caller; kInvalidArgument counts as wrong usage.
using Run = std::function<base::Result<ExitCode>()>;

struct VerbInfo {
  std::string name;
  std::string about;                  // one sentence
  std::vector<std::string> examples;  // whole command lines, without "belay "
};

class Verbs {
 public:
  Verbs(Verb program, base::Env& machine, base::Log& messages)
      : env(machine), log(messages), program_(program) {}

  /// Adds a verb with --help, --config and its examples; options are added to what is returned.
  Verb add(const VerbInfo& info, Run run);
  Verb add(Verb parent, const VerbInfo& info, Run run);

  /// The run function of a verb that was added.
  const Run& run_of(Verb verb) const { return run_.at(verb.id()); }

  base::Env& env;
  base::Log& log;
  std::vector<std::string> command_line;  // as typed, the program's name first
  double started = 0;  // when the process was, on the clock of env.steady_seconds()

 private:
  Verb program_;
  std::string config_;  // read before parsing (usage.h)
  std::map<const CLI::App*, Run> run_;
};

/// The options of a verb by name, as they were given or else by default (for the run's manifest).
nlohmann::ordered_json options_json(Verb verb);

/// One JSON document on stdout.
void print_json(const nlohmann::ordered_json& document);

void add_bench(Verbs& verbs);
void add_chat(Verbs& verbs);
void add_climb(Verbs& verbs);
void add_data(Verbs& verbs);
void add_export(Verbs& verbs);
void add_quantize(Verbs& verbs);
void add_forecast(Verbs& verbs);
void add_plan(Verbs& verbs);
void add_pretrain(Verbs& verbs);
void add_runs(Verbs& verbs);
void add_sample(Verbs& verbs);
void add_score(Verbs& verbs);
void add_sweep(Verbs& verbs);
void add_tokenizer(Verbs& verbs);

}  // namespace belay::cli
