// The options of `belay pretrain`, and the run that they ask for.
#pragma once

#include <string>

#include "cli/compute.h"
#include "train/pretrain.h"

namespace belay::cli {

struct PretrainArguments {
  std::string data, out = "runs/pretrain", resume, from, fork, family = "qwen3", init_attention,
                    optimizer = "muon", schedule = "linear", row_order = "random";
  std::int64_t depth = 3, width = 0, context = 256, batch_tokens = 0, micro_tokens = 0, warmup = 20;
  std::int64_t steps = 0;
  double lr = 0, muon_lr = 0, rope_theta = 0;  // 0: by the dial
  double max_seconds = 0, weight_decay = 0.03, clip = 1, z_loss = 0;
  double decay_share = 0.2, lr_floor = 0, init_std = 0.02;
  double eval_seconds = 300;
  std::int64_t eval_steps = 0, eval_tokens = 65536;
  double price_per_hour = 0;
  double checkpoint_seconds = 60;
  std::int64_t checkpoint_steps = 0;
  std::uint64_t seed = 1;
  bool keep_fork = false, overwrite = false;
  bool json = false;
  ComputeOptions compute;
};

/// What `belay plan` asks for: data, shape, length, price, machine.
void add_plan_options(Verb verb, PretrainArguments& arguments);
/// Those, and what else a run needs.
void add_options(Verb verb, PretrainArguments& arguments);

/// --row-order.
data::RowOrder row_order(const PretrainArguments& arguments);

/// --init-attention, or what the family begins with.
model::FirstAttention first_attention(const PretrainArguments& arguments);

/// Every value in its range, no two in contradiction. What was left open is filled in by
/// apply_dial() (cli/pretrain_plan.h), which knows the model.
base::Result<train::PretrainOptions> resolve(const PretrainArguments& arguments);

}  // namespace belay::cli
