// The program: finds the verb, runs it, and turns what it returns into an exit code (0 done, 1
// failed, 2 wrong usage, 3 a gate said no). Reports go to stdout, everything else to stderr.
#include <cstdio>
#include <exception>

#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/version.h"

namespace belay::cli {
namespace {

ExitCode failure(Verbs& verbs, const base::Status& status) {
  verbs.log.error("{}", status.message());
  return status.code() == base::Code::kInvalidArgument ? ExitCode::kWrongUsage : ExitCode::kFailed;
}

/// Parses args and runs the verb that they name.
ExitCode run_verb(Parser& parser, Verbs& verbs, const std::vector<std::string>& args) {
  const Verb program = parser.program();
  if (const base::Status known = check_verb(program, args); !known.ok()) {
    return failure(verbs, known);
  }
  const auto configured = with_config(verbs.env, program, args);
  if (!configured.ok()) return failure(verbs, configured.status());
  const auto parsed = parser.parse(*configured);
  if (!parsed.ok()) return failure(verbs, usage_error(program, parsed.status().message()));
  if (!*parsed) return ExitCode::kDone;
  const Verb verb = chosen_verb(program);
  if (verb.is_program() || !verb.left_over().empty()) {
    return failure(verbs, usage_error(program, "A subcommand is required"));
  }
  const auto code = verbs.run_of(verb)();
  return code.ok() ? *code : failure(verbs, code.status());
}

ExitCode run(int argc, char** argv) {
  Parser parser("Belay grows language models on hardware you own.", "belay",
                "belay VERB --help shows the options and examples of a verb.");
  Verb program = parser.program();
  bool version = false, json = false;
  program.flag("--version", version, "Print version, instruction sets and libraries");
  program.flag("--json", json, "With --version: as one JSON document");
  base::Log log;
  Verbs verbs(program, base::Env::posix(), log);
  // Loading the program is known by the processor time that it took.
  verbs.started = verbs.env.steady_seconds() - verbs.env.cpu_seconds();
  add_climb(verbs);
  add_tokenizer(verbs);
  add_data(verbs);
  add_plan(verbs);
  add_pretrain(verbs);
  add_sweep(verbs);
  add_sample(verbs);
  add_chat(verbs);
  add_score(verbs);
  add_forecast(verbs);
  add_quantize(verbs);
  add_export(verbs);
  add_runs(verbs);
  add_bench(verbs);

  const std::vector<std::string> args(argv + 1, argv + argc);
  verbs.command_line.assign(argv, argv + argc);
  if (args == std::vector<std::string>{"--version"} ||
      args == std::vector<std::string>{"--version", "--json"}) {
    std::fputs((args.size() == 1 ? version_text() : version_json()).c_str(), stdout);
    return ExitCode::kDone;
  }
  if (args.empty()) {
    std::fputs(parser.help().c_str(), stderr);
    return ExitCode::kWrongUsage;
  }
  return run_verb(parser, verbs, args);
}

}  // namespace
}  // namespace belay::cli

int main(int argc, char** argv) {
  try {
    return static_cast<int>(belay::cli::run(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(belay::cli::ExitCode::kFailed);
  }
}
