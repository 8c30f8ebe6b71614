// Command lines that cannot be meant: an unknown verb or option, with the nearest known one; and
// the config file, whose keys become options in front of the typed ones.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "cli/options.h"

namespace belay::cli {

/// The first argument, where it should name a verb and does not.
base::Status check_verb(Verb program, const std::vector<std::string>& args);

/// args (without the program's name) with the keys of `--config FILE` put after the verb, as
/// --key=value; unchanged when there is no --config. A key that the verb has no option for is an
/// error.
base::Result<std::vector<std::string>> with_config(base::Env& env, Verb program,
                                                   const std::vector<std::string>& args);

/// What was wrong with a command line that the parser refused or left arguments of.
base::Status usage_error(Verb program, const std::string& parser_message);

/// The deepest verb that was named (the program itself when none).
Verb chosen_verb(Verb program);

}  // namespace belay::cli
