// The plan of a ladder: which models are trained for how long, so that the law of loss can be
// fitted and the next rung, at several times the largest compute, be reached in the hours that
// there are. Pure: the same machine's speeds give the same plan.
//
// Sizes that stand around the optimum cross rows of equal compute, each row twice the one below:
// IsoFLOP curves (Hoffmann et al., 2022), and a law in parameters and tokens at once. The runs of
// one size share what they learn before their learning rate falls: each goes on from where the
// shorter one began to decay, so that four horizons cost little more than the longest.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "climb/trainer.h"

namespace belay::climb {

struct Shape {
  std::int64_t depth = 0, width = 0;
  auto operator<=>(const Shape&) const = default;
};

/// The sizes of ladders, from the smallest, each about 1.2 to 2 times the one before.
const std::vector<Shape>& shapes();

struct LadderOptions {
  double seconds = 0;  // for all of it
  double flops = 0;  // for all of it, in place of seconds: the same ladder on any machine; 0: none
  int n_sizes = 4, n_rows = 4;
  double row_step = 2;    // compute of a row over the row below
  double next_ratio = 4;  // compute of the next rung over the largest fitted
  int n_seeds = 1;        // runs of each rung
  std::int64_t first_seed = 1;
  double tokens_per_parameter = 0;  // near the optimum; where the sizes stand around
  double decay_share = 0.2;
  double valid_tokens = 0;       // scored after each run
  std::int64_t least_steps = 0;  // a shorter run is left out
};

struct Rung {
  std::string name = {};  // "d2w96-s400-seed1"
  Shape shape = {};
  std::int64_t steps = 0;
  std::int64_t seed = 1;
  std::string fork = {};  // the name of the rung that it goes on from; empty: none
  double params = 0, flops = 0, tokens = 0;
  double own_flops = 0;  // that are not shared with the run that it goes on from
  double seconds = 0;    // of training that is not shared, as planned
  int row = 0;
};

struct Ladder {
  std::vector<Rung> rungs;        // a rung comes after the one that it forks from
  double next_flops = 0;          // of the next rung
  double seconds = 0, flops = 0;  // of all, the next rung included, as planned
};

/// Speed and size of a shape, as measured.
using Measure = std::function<base::Result<RunCost>(Shape)>;

/// kResource when the time or compute is too little: fewer than ten runs of a seed are long enough,
/// or a size has fewer than two. Says what would do.
base::Result<Ladder> plan_ladder(const LadderOptions& options, const Measure& measure);

/// Parameters of a shape with a vocabulary of about a thousand: near enough to choose by.
double params_of(Shape shape);

/// "d2w96-s400-seed1".
std::string rung_name(Shape shape, std::int64_t steps, std::int64_t seed);

}  // namespace belay::climb
