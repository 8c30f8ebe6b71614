// belay bench prefill | decode: a part of `belay bench`.
#pragma once

#include "cli/verbs.h"

namespace belay::cli {

void add_bench_generate(Verbs& verbs, Verb parent);

}  // namespace belay::cli
