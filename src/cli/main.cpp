// The program: finds the verb, runs it, and turns what it returns into an exit code (0 done, 1
// failed, 2 wrong usage, 3 a gate said no). Reports go to stdout, everything else to stderr.
#include <algorithm>
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
ExitCode run_verb(CLI::App& app, Verbs& verbs, std::vector<std::string> args) {
  if (const base::Status known = check_verb(app, args); !known.ok()) return failure(verbs, known);
  auto configured = with_config(verbs.env, app, args);
  if (!configured.ok()) return failure(verbs, configured.status());
  args = *configured;
  std::reverse(args.begin(), args.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(args));
  } catch (const CLI::Success& help) {
    app.exit(help);
    return ExitCode::kDone;
  } catch (const CLI::ParseError& e) {
    return failure(verbs, usage_error(app, e.what()));
  }
  const CLI::App& verb = chosen_verb(app);
  if (!verb.remaining().empty()) return failure(verbs, usage_error(app, ""));
  const auto code = verbs.run_of(verb)();
  return code.ok() ? *code : failure(verbs, code.status());
}

ExitCode run(int argc, char** argv) {
  CLI::App app("Belay grows language models on hardware you own.", "belay");
  app.set_help_flag("-h,--help", "Print this help");
  app.require_subcommand(1);
  bool version = false, json = false;
  app.add_flag("--version", version, "Print version, instruction sets and libraries");
  app.add_flag("--json", json, "With --version: as one JSON document");
  app.footer("belay VERB --help shows the options and examples of a verb.");
  base::Log log;
  Verbs verbs(app, base::Env::posix(), log);
  add_tokenizer(verbs);
  add_data(verbs);
  add_plan(verbs);
  add_pretrain(verbs);
  add_sample(verbs);
  add_score(verbs);
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
    std::fputs(app.help().c_str(), stderr);
    return ExitCode::kWrongUsage;
  }
  return run_verb(app, verbs, args);
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
