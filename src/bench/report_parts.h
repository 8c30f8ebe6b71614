// What both reports are made of.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "bench/report.h"

namespace belay::bench {

inline nlohmann::ordered_json or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

/// shape, about, machine, isa, threads, dtype, versions.
nlohmann::ordered_json head_json(const Machine& machine, const TrainShape& shape,
                                 const std::string& onednn_version);
std::string head_text(std::string_view bench, const Machine& machine, const TrainShape& shape,
                      const std::string& onednn_version);

/// "447.1", or "-" for what is absent or zero: a rate in units of 10^9 a second.
std::string giga(const std::optional<double>& rate);
/// "0.853", or "-".
std::string ratio_text(const std::optional<double>& ratio);

/// Where there is no product rate: why.
std::string no_product_text(const std::string& onednn_version);

}  // namespace belay::bench
