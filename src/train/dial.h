// The one dial: what a depth stands for. Its shape, and how a model of so many parameters is
// trained when nothing else is asked for: tokens of a step, learning rates, length. The constants
// are fits to belay's own sweeps from 0.2 to 5 million parameters (docs/recipe.md); beyond them
// they are extrapolated.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace belay::train {

/// The shape of a model of this depth: Qwen3, `width` wide (a multiple of 16; 0: 64 * depth), a
/// head of 64 for each 64 of the width or part of them but two at least, a feed-forward part of 8/3
/// of the width (rounded up to 64), and rotary positions of dial_rope_theta(context).
model::ModelConfig config_of_depth(std::int64_t depth, std::int64_t vocab_size,
                                   std::int64_t context, std::int64_t width = 0);

/// The base of rotary positions whose slowest pair turns about once in a context of this length. A
/// larger one wastes pairs that hardly turn, and copying from the context is learned later.
double dial_rope_theta(std::int64_t context);

/// Of a run: about the compute's best at these sizes, by the ladders of belay climb.
constexpr double kTokensPerParameter = 8;

/// Parameters up to which the constants were fitted.
constexpr double kMostSweptParams = 5e6;

struct Dial {
  std::int64_t batch_tokens = 0;  // of a step, a multiple of the context
  double muon_lr = 0;             // peak
  double adamw_lr = 0;            // peak; beside Muon that of embedding and norms
  double tokens = 0;              // of the run
  bool extrapolated = false;      // beyond the sizes that were swept
};

/// For n_params parameters; muon: beside it, AdamW's rate is another. batch_tokens: asked for; 0:
/// the dial's.
Dial dial(std::int64_t n_params, std::int64_t context, bool muon, std::int64_t batch_tokens = 0);

/// A vocabulary for a model of so many parameters: 1,024 up to two million, and twice as much for
/// each 2.8 times as many.
std::int64_t dial_vocab(double n_params);

}  // namespace belay::train
