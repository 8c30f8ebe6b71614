// `belay pretrain` for the verbs that order many runs (sweep, climb): each a run folder like any
// other, without the words of a single run.
#pragma once

#include "cli/verbs.h"
#include "climb/trainer.h"

namespace belay::cli {

class PretrainTrainer : public climb::Trainer {
 public:
  explicit PretrainTrainer(Verbs& verbs) : verbs_(verbs) {}

  base::Result<climb::RunCost> measure(const climb::RunOptions& options) override;
  base::Result<climb::RunOutcome> train(const climb::RunRequest& request) override;

 private:
  Verbs& verbs_;
};

}  // namespace belay::cli
