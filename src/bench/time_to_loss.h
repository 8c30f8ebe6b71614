// How long this program takes from its start to a given loss: it reads a text, trains a tokenizer
// on the first nine tenths, grows a model on them and predicts the last tenth, every character of
// it once, until the mean of -log p a character is at or below the target. Whatever happens on the
// way counts, validation too.
//
// A recipe fixes its steps in advance, and the learning rate falls to zero over them; then comes
// the validation. Where it misses, the run goes on for a quarter of the recipe's steps, again and
// again: the rate, drawn over the longer run, rises to a fifth or less of the peak and falls again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/env.h"
#include "base/status.h"
#include "model/config.h"
#include "train/pretrain.h"

namespace belay::bench {

/// A shape, and how it is trained. The defaults are what a search over them found for Shakespeare's
/// plays; docs/log/2026-11-26-time-to-loss.md.
struct LossRecipe {
  std::int64_t vocab_size = 3072;  // of the tokenizer; 256: bytes, without one
  std::int64_t layers = 1, width = 64, heads = 2, ffn = 128;
  std::int64_t context = 64, batch_tokens = 1024;
  std::int64_t steps = 36, warmup = 5;
  double lr = 0.04;          // AdamW's peak: embedding, output layer and norms
  double muon_lr_ratio = 1;  // Muon's over it: matrices of the layers
  double lr_floor = 0.15;    // the rate at the end, as a share of the peak
  double beta1 = 0;          // AdamW's first momentum
  double muon_momentum = 0.8;
  double init_std = 0.015;

  model::ModelConfig config() const;
  train::PretrainOptions training() const;
};

/// Every part in its range; names are those of the options.
base::Status check_recipe(const LossRecipe& recipe);

struct TimeToLossOptions {
  std::string corpus;  // path of a text
  double target = 1.886;
  double max_seconds = 60;
  std::uint64_t seed = 1;
  tensor::DType dtype = tensor::DType::kF32;
  LossRecipe recipe;
};

struct TimeToLossResult {
  bool reached = false;
  double seconds = 0, cpu_seconds = 0;  // from the start of the process to the end
  double nats_per_character = 0;        // at the last validation
  std::int64_t n_params = 0, steps = 0, tokens = 0;
  std::int64_t n_characters = 0;  // of the validation tenth
  std::int64_t n_train_tokens = 0, n_valid_tokens = 0;
  int validations = 0;
  // Where the time went; the rest of it is the start of the process.
  double reading = 0, tokenizing = 0, building = 0, training = 0, validating = 0;
};

/// One run. started: what the process had taken when it came here (seconds and processor seconds).
struct Started {
  double seconds = 0, cpu_seconds = 0;
};
base::Result<TimeToLossResult> time_to_loss(base::Context& ctx, base::Env& env,
                                            const TimeToLossOptions& options, Started started);

}  // namespace belay::bench
