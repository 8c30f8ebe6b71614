#include "climb/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace belay::climb {
namespace {

using base::Result;
using base::Status;

constexpr std::size_t kMostPoints = 10'000;

Status check(const SweepOptions& o) {
  std::size_t points = 1;
  for (const SweepAxis& axis : o.axes)
    points = std::min(points * axis.values.size(), kMostPoints + 1);
  const auto refuse = [](std::string where, std::string what, std::string next) {
    return base::invalid_argument(
        {.where = std::move(where), .what = std::move(what), .next = std::move(next)});
  };
  if (o.axes.empty()) return refuse("--grid", "is missing", "name an option: --grid lr=1e-3,2e-3");
  if (points > kMostPoints) {
    return refuse("--grid", fmt::format("asks for more than {} runs", kMostPoints),
                  "leave values out");
  }
  if (o.eta != 0 && o.steps == 0) {
    return refuse("--halving", "needs --steps, the length of the last round", "give --steps");
  }
  return {};
}

/// Every point of the grid, the last axis fastest.
std::vector<SweepRow> grid_of(const std::vector<SweepAxis>& axes) {
  std::vector<SweepRow> rows(1);
  for (const SweepAxis& axis : axes) {
    std::vector<SweepRow> more;
    for (const SweepRow& row : rows) {
      for (const std::string& value : axis.values) {
        more.push_back(row);
        more.back().point.emplace_back(axis.option, value);
      }
    }
    rows = std::move(more);
  }
  return rows;
}

bool lower(const SweepRow& a, const SweepRow& b) {
  if (a.steps != b.steps) return a.steps > b.steps;
  return a.loss() < b.loss();
}

/// One pass over the grid, or over what halving has left of it.
class Round {
 public:
  Round(base::Env& env, Trainer& trainer, const SweepOptions& options, SweepResult& result,
        const std::function<void(const std::string&, const RunOutcome&)>& on_run)
      : env_(env), trainer_(trainer), options_(options), result_(result), on_run_(on_run) {
    start_ = env.steady_seconds();
  }

  /// Trains the rows for so many steps; false when the time is used up or the user stops it.
  Result<bool> run(std::span<SweepRow> rows, std::int64_t steps) {
    for (SweepRow& row : rows) {
      SweepRow longer = row;
      longer.steps = steps;
      longer.folders.clear();
      longer.outcomes.clear();
      for (std::int64_t seed = 1; seed <= options_.seeds; ++seed) {
        if (out_of_time()) return false;
        const auto forked = static_cast<std::size_t>(seed - 1);
        BELAY_ASSIGN_OR_RETURN(
            const bool done,
            train(longer, seed, forked < row.folders.size() ? row.folders[forked] : ""));
        if (!done) return false;
      }
      row = std::move(longer);
    }
    return true;
  }

 private:
  bool out_of_time() const {
    return options_.hours > 0 && env_.steady_seconds() - start_ >= 3600 * options_.hours;
  }

  Result<bool> train(SweepRow& row, std::int64_t seed, const std::string& fork) {
    const std::string name = run_name(row.point, seed, row.steps);
    RunRequest request{base::join_path(options_.folder, name), options_.fixed, name + " "};
    for (const auto& choice : row.point) request.options.push_back(choice);
    request.options.emplace_back("seed", std::to_string(seed));
    if (options_.eta != 0) {
      request.options.emplace_back("steps", std::to_string(row.steps));
      request.options.emplace_back("keep-fork", "true");
      if (!fork.empty()) request.options.emplace_back("fork", fork);
    }
    BELAY_ASSIGN_OR_RETURN(const RunOutcome outcome, trainer_.train(request));
    if (outcome.ending == RunEnding::kStopped) return false;
    on_run_(name, outcome);
    ++result_.n_runs;
    row.folders.push_back(request.folder);
    row.outcomes.push_back(outcome);
    return true;
  }

  base::Env& env_;
  Trainer& trainer_;
  const SweepOptions& options_;
  SweepResult& result_;
  const std::function<void(const std::string&, const RunOutcome&)>& on_run_;
  double start_;
};

/// Steps of the first round: the last one's over eta for each time that the grid can shrink.
std::int64_t first_steps(const SweepOptions& o, std::size_t n_points) {
  std::int64_t steps = o.steps;
  const auto eta = static_cast<std::size_t>(o.eta);
  for (std::size_t left = n_points; left > 1 && steps / o.eta > 0; left = (left + eta - 1) / eta) {
    steps /= o.eta;
  }
  return steps;
}

}  // namespace

double SweepRow::loss() const {
  if (outcomes.empty()) return HUGE_VAL;
  double sum = 0;
  for (const RunOutcome& o : outcomes) {
    sum += o.ending == RunEnding::kDone && o.val_loss > 0 ? o.val_loss : HUGE_VAL;
  }
  return sum / static_cast<double>(outcomes.size());
}

std::string run_name(const RunOptions& point, std::int64_t seed, std::int64_t steps) {
  std::string name;
  for (const auto& [option, value] : point) {
    for (const char c : option + "-" + value) name += c == '/' || c == ' ' ? '-' : c;
    name += '_';
  }
  name += fmt::format("seed-{}", seed);
  return steps > 0 ? name + fmt::format("_steps-{}", steps) : name;
}

Result<SweepAxis> parse_axis(const std::string& text) {
  const std::size_t equals = text.find('=');
  SweepAxis axis;
  axis.option = text.substr(0, equals);
  while (axis.option.starts_with("-")) axis.option.erase(0, 1);
  std::string value;
  for (const char c : equals == std::string::npos ? "" : text.substr(equals + 1) + ",") {
    if (c != ',') {
      value += c;
    } else if (!value.empty()) {
      axis.values.push_back(std::move(value));
      value.clear();
    }
  }
  if (!axis.option.empty() && !axis.values.empty()) return axis;
  return base::invalid_argument({.where = "--grid",
                                 .what = "is no option with values",
                                 .seen = base::printable(text),
                                 .allowed = "lr=1e-3,2e-3,4e-3"});
}

Result<SweepResult> sweep(
    base::Env& env, Trainer& trainer, const SweepOptions& options,
    const std::function<void(const std::string&, const RunOutcome&)>& on_run) {
  BELAY_RETURN_IF_ERROR(check(options));
  SweepResult result;
  result.rows = grid_of(options.axes);
  Round round(env, trainer, options, result, on_run);
  std::size_t n = result.rows.size();
  std::int64_t steps = options.eta == 0 ? 0 : first_steps(options, n);
  while (true) {
    BELAY_ASSIGN_OR_RETURN(const bool whole, round.run(std::span(result.rows).first(n), steps));
    std::stable_sort(result.rows.begin(), result.rows.end(), lower);
    if (!whole) {
      for (const SweepRow& row : std::span(result.rows).first(n)) {
        if (row.steps != steps || row.outcomes.empty()) result.n_left += options.seeds;
      }
      return result;
    }
    if (options.eta == 0 || steps >= options.steps) return result;
    const auto eta = static_cast<std::size_t>(options.eta);
    n = std::max<std::size_t>(1, (n + eta - 1) / eta);
    steps = std::min(options.steps, steps * options.eta);
  }
}

}  // namespace belay::climb
