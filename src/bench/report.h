// Results of benches as one JSON document and as text for people. Rates in the documents are a
// second; what could not be measured is null.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/op_bench.h"
#include "bench/train_bench.h"

namespace belay::bench {

/// What a result holds for: printed with every one.
struct Machine {
  std::string isa, dtype;
  int threads = 0;
};

nlohmann::ordered_json train_json(const Machine& machine, const TrainShape& shape,
                                  const TrainBenchOptions& options, const TrainResult& result);
std::string train_text(const Machine& machine, const TrainShape& shape,
                       const TrainBenchOptions& options, const TrainResult& result);

nlohmann::ordered_json ops_json(const Machine& machine, const TrainShape& shape,
                                const OpBenchResult& result);
std::string ops_text(const Machine& machine, const TrainShape& shape, const OpBenchResult& result);

}  // namespace belay::bench
