// A table of scores (benchmark, model_version, release_date, score_fraction) as one series: the
// ability of each model (item_response.h) by its release date. Models with few scores have loose
// abilities and stay out of the series, but in the fit. Scores of one model on one benchmark are
// averaged.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "forecast/item_response.h"
#include "forecast/series.h"
#include "store/csv.h"

namespace belay::forecast {

inline constexpr int kLeastScores = 3;  // of a model in the series

struct Abilities {
  std::vector<std::string> models, benchmarks;
  std::vector<ItemScore> scores;
  std::vector<int> n_scores;  // of a model
  ItemFit fit;
  ItemHoldOut held_out;  // a tenth of the scores
  Series series;         // y is ability, in log odds

  /// The place of a benchmark; an error with the nearest name when there is none.
  base::Result<std::size_t> benchmark(const std::string& name) const;
};

base::Result<Abilities> read_abilities(const store::CsvTable& table, const SeriesRequest& request);

}  // namespace belay::forecast
