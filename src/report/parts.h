// Small parts that several sections are made of. Arguments called `text` or `html` stand as they
// are; whatever comes from a run is escaped before (html.h), or here where a json is taken.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace belay::report {

/// A cell of <dl class="figures">.
std::string figure(std::string_view name, std::string_view value, std::string_view unit,
                   std::string_view words);

/// At most `most` of n items, evenly spaced, the first and the last among them.
std::vector<std::size_t> spread(std::size_t n, std::size_t most);

/// With so many digits after the point; "" for nothing.
std::string fixed(std::optional<double> value, int digits);
/// "12.3k"; "" for nothing.
std::string count_or_empty(std::optional<double> value);
std::string money_text(double price);
/// "+2.0 %": what was measured over what was planned; "" where one of them is missing.
std::string difference(std::optional<double> planned, std::optional<double> measured);
/// "2026-11-25 12:10 UTC"; "" for what is no time.
std::string utc_text(std::optional<double> seconds);

/// The text without the bytes of a character that the cut splits.
std::string_view cut(std::string_view text, std::size_t most);

/// What a run or climb was: command, model, data, machine, seed, version and every option of its
/// manifest.
std::string facts_section(const nlohmann::json& manifest, std::string_view heading);
/// When and by which version the page was written, and what holds for every page.
std::string footer(const nlohmann::json& manifest, double now);

}  // namespace belay::report
