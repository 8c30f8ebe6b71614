// What every operation is given: who computes and with which instructions. Passed, never global.
#pragma once

#include "base/cpu.h"
#include "base/threads.h"

namespace belay::base {

struct Context {
  ThreadPool& threads;
  Isa isa = best_isa();  // one that supported_isas() holds
};

}  // namespace belay::base
