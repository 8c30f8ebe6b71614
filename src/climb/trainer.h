// Runs as those who order many of them see them: options by name in, what came of it out. The
// program's implementation is cli/trainer.h, a test's may compute a loss from the options.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace belay::climb {

/// Options of `belay pretrain` by name, without the dashes; what is absent has its default.
using RunOptions = std::vector<std::pair<std::string, std::string>>;

struct RunRequest {
  std::string folder;  // of the run
  RunOptions options;
  std::string label;  // before the counter of its progress line
};

enum class RunEnding : std::uint8_t {
  kDone,
  kFailed,   // diverged: see error
  kStopped,  // the user wants to stop; asking for the same run again goes on with it
};

struct RunOutcome {
  RunEnding ending = RunEnding::kStopped;
  std::string error;
  double params = 0, flops_per_token = 0, tokens = 0;
  double own_tokens = 0;     // those before a fork left out
  double seconds = 0;        // of training, likewise
  double val_loss = 0;       // nats per token
  double val_bpb = 0;        // bits per byte
  std::string prompt, text;  // a sample
  double flops() const { return flops_per_token * tokens; }
};

/// What a run of these options costs, from a few real steps of it.
struct RunCost {
  double params = 0, flops_per_token = 0, tokens_per_second = 0;
  std::int64_t batch_tokens = 0;
};

class Trainer {
 public:
  virtual ~Trainer() = default;
  /// Leaves nothing behind.
  virtual base::Result<RunCost> measure(const RunOptions& options) = 0;
  /// Begins a run, goes on with one that was interrupted, or reads what one that is done left. An
  /// error is one of the request or the machine; a run that diverges is an outcome.
  virtual base::Result<RunOutcome> train(const RunRequest& request) = 0;
};

}  // namespace belay::climb
