#include "climb/ladder.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace belay::climb {
namespace {

using base::Result;

constexpr int kLeastRuns = 10, kLeastRunsOfSize = 2;  // of one seed
constexpr double kRunOverheadSeconds = 0.5;           // to make a model, save it, write its report
constexpr double kValidationPasses = 2.0 / 3;  // windows overlap by half; a third of a step's work

/// What a shape costs, measured once.
class Costs {
 public:
  explicit Costs(const Measure& measure) : measure_(measure) {}
  Result<RunCost> of(std::size_t shape) {
    if (const auto known = known_.find(shape); known != known_.end()) return known->second;
    BELAY_ASSIGN_OR_RETURN(const RunCost cost, measure_(shapes()[shape]));
    return known_[shape] = cost;
  }

 private:
  const Measure& measure_;
  std::map<std::size_t, RunCost> known_;
};

double flops_per_second(const RunCost& cost) {
  return cost.flops_per_token * cost.tokens_per_second;
}

/// The middle of the sizes that are best where a row has so much compute.
std::size_t nearest_shape(double n_params) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < shapes().size(); ++i) {
    const auto distance = [&](std::size_t s) {
      return std::abs(std::log(params_of(shapes()[s]) / n_params));
    };
    if (distance(i) < distance(best)) best = i;
  }
  return best;
}

double best_params(double flops, double tokens_per_parameter) {
  return std::sqrt(flops / (6 * tokens_per_parameter));
}

/// Compute of the runs of one size over that of the longest: the others add their decay.
double share_of_size(const LadderOptions& o) {
  double share = 1;
  for (int row = 1; row < o.n_rows; ++row) share += o.decay_share / std::pow(o.row_step, row);
  return share;
}

double middle_flops(const LadderOptions& o, double most) {
  return most / std::pow(o.row_step, 0.5 * (o.n_rows - 1));
}

/// The first of n_sizes neighbours whose middle is right for so much compute in the longest row.
std::size_t first_size(const LadderOptions& o, double most) {
  const double middle = best_params(middle_flops(o, most), o.tokens_per_parameter);
  const std::size_t at = nearest_shape(middle);
  const auto below = static_cast<std::size_t>((o.n_sizes - 1) / 2);
  const std::size_t last = shapes().size() - static_cast<std::size_t>(o.n_sizes);
  return std::min(at > below ? at - below : 0, last);
}

/// Compute of a whole ladder, the next rung included, over that of the longest row.
double share_of_ladder(const LadderOptions& o) {
  return o.n_seeds * (o.n_sizes * share_of_size(o) + o.next_ratio);
}

/// Seconds of a whole ladder: fixed + per_flop * (compute of the longest row).
struct Time {
  double fixed = 0, per_flop = 0;
  double of(double most) const { return fixed + per_flop * most; }
};

/// Compute of the longest row that the time, or the compute, is enough for.
double most_flops(const LadderOptions& o, const Time& time) {
  const double most =
      o.flops > 0 ? o.flops / share_of_ladder(o) : (o.seconds - time.fixed) / time.per_flop;
  return std::max(most, 1.0);
}

Result<Time> time_of(const LadderOptions& o, Costs& costs, std::size_t first, std::size_t next) {
  Time time;
  const auto add = [&](const RunCost& cost, double flops_share, double n_runs) {
    time.per_flop += o.n_seeds * flops_share / flops_per_second(cost);
    const double validation = o.valid_tokens * kValidationPasses / cost.tokens_per_second;
    time.fixed += o.n_seeds * n_runs * (kRunOverheadSeconds + validation);
  };
  for (int i = 0; i < o.n_sizes; ++i) {
    BELAY_ASSIGN_OR_RETURN(const RunCost cost, costs.of(first + static_cast<std::size_t>(i)));
    add(cost, share_of_size(o), o.n_rows);
  }
  BELAY_ASSIGN_OR_RETURN(const RunCost cost, costs.of(next));
  add(cost, o.next_ratio, 1);
  return time;
}

/// The rungs of one size and seed, from the shortest.
void add_size(const LadderOptions& o, Shape shape, const RunCost& cost, double most,
              std::int64_t seed, Ladder& ladder) {
  std::string fork;
  double shared = 0;  // tokens that the shorter run learned before its decay
  for (int row = 0; row < o.n_rows; ++row) {
    const double flops = most / std::pow(o.row_step, o.n_rows - 1 - row);
    const double step_flops = cost.flops_per_token * static_cast<double>(cost.batch_tokens);
    Rung rung{.shape = shape, .steps = std::llround(flops / step_flops), .seed = seed};
    if (rung.steps < o.least_steps) continue;
    rung.name = rung_name(shape, rung.steps, seed);
    rung.fork = fork;
    rung.params = cost.params;
    rung.tokens = static_cast<double>(rung.steps * cost.batch_tokens);
    rung.flops = rung.tokens * cost.flops_per_token;
    rung.own_flops = (rung.tokens - shared) * cost.flops_per_token;
    rung.seconds = (rung.tokens - shared) / cost.tokens_per_second;
    rung.row = row;
    fork = rung.name;
    shared = (1 - o.decay_share) * rung.tokens;
    ladder.rungs.push_back(std::move(rung));
  }
}

/// Runs for a law: of every size, and in all.
bool enough(const LadderOptions& o, const Ladder& ladder) {
  std::map<Shape, int> of_shape;
  int all = 0;
  for (const Rung& rung : ladder.rungs) {
    if (rung.seed != o.first_seed) continue;
    ++of_shape[rung.shape];
    ++all;
  }
  for (const auto& [shape, n] : of_shape) {
    if (n < kLeastRunsOfSize) return false;
  }
  return all >= kLeastRuns && of_shape.size() == static_cast<std::size_t>(o.n_sizes);
}

/// Its rungs where the longest row has so much compute.
Result<Ladder> ladder_of(const LadderOptions& o, Costs& costs, std::size_t first, double most) {
  Ladder ladder;
  for (int i = 0; i < o.n_sizes; ++i) {
    const std::size_t at = first + static_cast<std::size_t>(i);
    BELAY_ASSIGN_OR_RETURN(const RunCost cost, costs.of(at));
    for (int seed = 0; seed < o.n_seeds; ++seed) {
      add_size(o, shapes()[at], cost, most, o.first_seed + seed, ladder);
    }
  }
  return ladder;
}

/// Says the least that gives a ladder, found by laying out longer ones.
base::Status too_short(const LadderOptions& o, Costs& costs, double most, const Time& time) {
  constexpr double kStep = 1.1, kTooFar = 1e20, kRounding = 1.005;  // of the figure's three digits
  double more = kStep * most;
  for (; more < kTooFar * most; more *= kStep) {
    BELAY_ASSIGN_OR_RETURN(const Ladder ladder, ladder_of(o, costs, first_size(o, more), more));
    if (enough(o, ladder)) break;
  }
  more *= kRounding;
  if (o.flops > 0) {
    return base::resource_exhausted(
        {.where = "--flops",
         .what = "are too few for a ladder",
         .seen = fmt::format("{:.3g}", o.flops),
         .allowed = fmt::format("{:.3g} or more", more * share_of_ladder(o))});
  }
  return base::resource_exhausted(
      {.where = "--hours",
       .what = "are too few for a ladder on this machine",
       .seen = fmt::format("{:.3f}", o.seconds / 3600),
       .allowed = fmt::format("about {:.3f} or more", time.of(more) / 3600)});
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> kShapes = {
      {4, 64},   {4, 80},   {4, 96},   {4, 128},   {4, 160},   {4, 192},  {4, 224},
      {4, 256},  {5, 288},  {5, 320},  {6, 384},   {7, 448},   {8, 512},  {9, 576},
      {10, 640}, {12, 768}, {14, 896}, {16, 1024}, {20, 1280}, {24, 1536}};
  return kShapes;
}

double params_of(Shape s) {
  return 12.0 * static_cast<double>(s.depth * s.width * s.width) +
         1024.0 * static_cast<double>(s.width);
}

std::string rung_name(Shape shape, std::int64_t steps, std::int64_t seed) {
  return fmt::format("d{}w{}-s{}-seed{}", shape.depth, shape.width, steps, seed);
}

Result<Ladder> plan_ladder(const LadderOptions& o, const Measure& measure) {
  Costs costs(measure);
  // The sizes follow from the compute, and that from the speed of the sizes: twice round is enough.
  std::size_t first = 0, next = static_cast<std::size_t>(o.n_sizes);
  double most = 0;
  Time time;
  for (int round = 0; round < 3; ++round) {
    BELAY_ASSIGN_OR_RETURN(time, time_of(o, costs, first, next));
    const double now = most_flops(o, time);
    const std::size_t now_first = first_size(o, now);
    const std::size_t now_next =
        nearest_shape(best_params(o.next_ratio * now, o.tokens_per_parameter));
    most = now;
    if (now_first == first && now_next == next) break;
    first = now_first;
    next = now_next;
  }
  BELAY_ASSIGN_OR_RETURN(time, time_of(o, costs, first, next));
  most = most_flops(o, time);
  BELAY_ASSIGN_OR_RETURN(Ladder ladder, ladder_of(o, costs, first, most));
  if (!enough(o, ladder)) return too_short(o, costs, most, time);
  ladder.next_flops = o.next_ratio * most;
  ladder.seconds = time.of(most);
  ladder.flops = most * share_of_ladder(o);
  return ladder;
}

}  // namespace belay::climb
