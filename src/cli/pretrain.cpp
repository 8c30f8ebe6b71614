#include "cli/verbs.h"
namespace belay::cli {
void add_pretrain(Verbs&) {}
}  // namespace belay::cli
