#include "store/forecast_register.h"

#include <fmt/core.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <optional>

#include "base/hash.h"
#include "base/json.h"

namespace belay::store {
namespace {

using base::JsonReader;
using base::Result;
using base::Status;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
constexpr base::JsonLimits kLine{.max_bytes = std::uint64_t{64} << 10, .max_depth = 8};
constexpr double kMostSeconds = 1e12;
constexpr std::size_t kIdDigits = 16, kHashDigits = 64, kMostBaselines = 16;
constexpr std::string_view kBefore = ",\"sha256\":\"", kAfter = "\"}";
constexpr const char* kDamaged = "the register was changed by hand or damaged: use another copy";

std::string nothing_before() { return std::string(kHashDigits, '0'); }

/// Bytes that are not UTF-8 become U+FFFD: no text of a caller makes the dump throw.
template <class Json>
std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

struct Line {
  JsonReader fields;
  std::string sha256;
};

/// Checks a line's hash and its place behind the line before, then parses it.
Result<Line> open_line(std::string_view line, const std::string& place,
                       const std::string& previous) {
  const std::size_t seal_bytes = kBefore.size() + kHashDigits + kAfter.size();
  const std::string_view body = line.substr(0, line.size() - std::min(line.size(), seal_bytes));
  const std::string_view seal = line.substr(body.size());
  if (seal.size() != seal_bytes || !seal.starts_with(kBefore) || !seal.ends_with(kAfter)) {
    return base::corrupt({.where = place,
                          .what = "does not end with its SHA-256",
                          .seen = base::printable(seal),
                          .next = kDamaged});
  }
  const std::string_view stored = seal.substr(kBefore.size(), kHashDigits);
  if (const std::string seen = base::sha256_hex(body); seen != stored) {
    return base::corrupt({.where = place,
                          .what = "does not match its SHA-256: it was edited or damaged",
                          .seen = seen,
                          .allowed = base::printable(stored),
                          .next = kDamaged});
  }
  BELAY_ASSIGN_OR_RETURN(JsonReader fields, base::parse_json(line, place, kLine));
  BELAY_ASSIGN_OR_RETURN(const std::string before, fields.require_string("previous"));
  if (before != previous) {
    return base::corrupt({.where = place,
                          .what = "does not follow the line before it: a line was taken out, put "
                                  "in or moved",
                          .seen = base::printable(before),
                          .allowed = previous,
                          .next = kDamaged});
  }
  return Line{std::move(fields), std::string(stored)};
}

/// A finite number, whatever its size.
Result<double> number(const JsonReader& fields, std::string_view key) {
  return fields.require_double(key, -DBL_MAX, DBL_MAX);
}

Result<std::vector<double>> read_quantiles(const JsonReader& fields) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader array, fields.require("quantiles"));
  const json& node = array.node();
  std::vector<double> values;
  const bool right_size = node.is_array() && node.size() == kForecastQuantiles;
  for (std::size_t i = 0; right_size && i < node.size(); ++i) {
    if (!node[i].is_number()) break;
    const auto value = node[i].get<double>();
    if (!std::isfinite(value) || (!values.empty() && value < values.back())) break;
    values.push_back(value);
  }
  if (values.size() == kForecastQuantiles) return values;
  return fields.error(base::Code::kCorrupt, "quantiles", "is not a distribution",
                      "99 finite numbers that never fall");
}

Result<std::map<std::string, double>> read_baselines(const JsonReader& fields) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader object, fields.require_object("baselines"));
  const std::vector<std::string> keys = object.keys();
  if (keys.size() > kMostBaselines) {
    return fields.error(base::Code::kCorrupt, "baselines", "has too many fields",
                        fmt::format("up to {}", kMostBaselines));
  }
  std::map<std::string, double> values;
  for (const std::string& key : keys) {
    BELAY_ASSIGN_OR_RETURN(values[key], number(object, key));
  }
  return values;
}

Result<Forecast> read_forecast(const JsonReader& fields) {
  Forecast f;
  BELAY_ASSIGN_OR_RETURN(f.made, fields.require_double("made", 0, kMostSeconds));
  BELAY_ASSIGN_OR_RETURN(f.kind, fields.require_string("kind"));
  if (f.kind != "loss" && f.kind != "trend") {
    return fields.error(base::Code::kCorrupt, "kind", "is not known", "loss, trend");
  }
  BELAY_ASSIGN_OR_RETURN(const JsonReader target, fields.require_object("target"));
  f.target = target.node();
  BELAY_ASSIGN_OR_RETURN(f.unit, fields.require_string("unit"));
  BELAY_ASSIGN_OR_RETURN(f.made_from, fields.require_string("made_from"));
  if (!is_hex(f.made_from, kHashDigits)) {
    return fields.error(base::Code::kCorrupt, "made_from", "is no SHA-256",
                        "64 lower-case hexadecimal digits");
  }
  BELAY_ASSIGN_OR_RETURN(f.median, number(fields, "median"));
  BELAY_ASSIGN_OR_RETURN(f.quantiles, read_quantiles(fields));
  BELAY_ASSIGN_OR_RETURN(f.baselines, read_baselines(fields));
  BELAY_ASSIGN_OR_RETURN(f.n_points, fields.require_int("n_points", 0, std::int64_t{1} << 40));
  BELAY_ASSIGN_OR_RETURN(f.note, fields.require_string("note"));
  return f;
}

Result<Outcome> read_outcome(const JsonReader& fields, const Register& before) {
  Outcome o;
  BELAY_ASSIGN_OR_RETURN(o.of, fields.require_string("of"));
  BELAY_ASSIGN_OR_RETURN(o.value, number(fields, "value"));
  BELAY_ASSIGN_OR_RETURN(o.time, fields.require_double("time", 0, kMostSeconds));
  if (before.find(o.of) == nullptr) {
    return fields.error(base::Code::kCorrupt, "of", "names no forecast of an earlier line");
  }
  if (before.outcome_of(o.of) != nullptr) {
    return fields.error(base::Code::kCorrupt, "of", "has an outcome already");
  }
  return o;
}

Status read_line(std::string_view text, const std::string& place, Register& into) {
  BELAY_ASSIGN_OR_RETURN(const Line line, open_line(text, place, into.head));
  BELAY_ASSIGN_OR_RETURN(const std::string type, line.fields.require_string("type"));
  if (type == "forecast") {
    BELAY_ASSIGN_OR_RETURN(Forecast forecast, read_forecast(line.fields));
    forecast.id = line.sha256.substr(0, kIdDigits);
    into.forecasts.push_back(std::move(forecast));
  } else if (type == "outcome") {
    BELAY_ASSIGN_OR_RETURN(Outcome outcome, read_outcome(line.fields, into));
    into.outcomes.push_back(std::move(outcome));
  } else {
    return line.fields.error(base::Code::kCorrupt, "type", "is not known", "forecast, outcome");
  }
  into.head = line.sha256;
  return {};
}

ordered_json fields_of(const Forecast& f) {
  ordered_json baselines = ordered_json::object();
  for (const auto& [name, value] : f.baselines) baselines[name] = value;
  return {{"type", "forecast"},     {"made", f.made},
          {"kind", f.kind},         {"target", base::to_ordered(f.target)},
          {"unit", f.unit},         {"made_from", f.made_from},
          {"median", f.median},     {"quantiles", f.quantiles},
          {"baselines", baselines}, {"n_points", f.n_points},
          {"note", f.note}};
}

ordered_json fields_of(const Outcome& o) {
  return {{"type", "outcome"}, {"of", o.of}, {"value", o.value}, {"time", o.time}};
}

/// A register as it lies on the disk, held by this process alone.
struct Opened {
  std::unique_ptr<base::FileLock> lock;
  std::string text;
  Register content;
};

Result<Opened> open_register(base::Env& env, const std::string& path) {
  Opened opened;
  BELAY_RETURN_IF_ERROR(env.create_dirs(base::parent_dir(path)));
  BELAY_ASSIGN_OR_RETURN(opened.lock, env.lock_file(path + ".lock"));
  if (env.exists(path)) {
    BELAY_ASSIGN_OR_RETURN(opened.text, env.read_file(path, kMostBytes));
  }
  BELAY_ASSIGN_OR_RETURN(opened.content, parse_register(opened.text, path));
  return opened;
}

/// Seals the fields and writes them as the last line; its hash. What could not be read again is
/// refused first.
Result<std::string> append(base::Env& env, const std::string& path, Opened& opened,
                           ordered_json fields) {
  fields["previous"] = opened.content.head;
  std::string line = dump(fields);
  line.pop_back();
  const std::string sha256 = base::sha256_hex(line);
  line += std::string(kBefore) + sha256 + std::string(kAfter);
  if (const Status readable = read_line(line, "the new entry", opened.content); !readable.ok()) {
    return Status(base::Code::kInvalidArgument, readable.detail()).within(path);
  }
  line += '\n';
  if (opened.content.torn || opened.text.empty()) {
    const std::size_t whole = opened.text.rfind('\n') + 1;  // npos + 1 is 0
    BELAY_RETURN_IF_ERROR(base::write_file_atomic(env, path, opened.text.substr(0, whole) + line));
    return sha256;
  }
  BELAY_ASSIGN_OR_RETURN(const auto file, env.append_file(path));
  BELAY_RETURN_IF_ERROR(file->write(std::as_bytes(std::span(line))));
  BELAY_RETURN_IF_ERROR(file->sync());
  BELAY_RETURN_IF_ERROR(file->close());
  return sha256;
}

}  // namespace

const Forecast* Register::find(std::string_view id) const {
  const auto found = std::find_if(forecasts.begin(), forecasts.end(),
                                  [&](const Forecast& f) { return f.id == id; });
  return found == forecasts.end() ? nullptr : &*found;
}

const Outcome* Register::outcome_of(std::string_view id) const {
  const auto found =
      std::find_if(outcomes.begin(), outcomes.end(), [&](const Outcome& o) { return o.of == id; });
  return found == outcomes.end() ? nullptr : &*found;
}

Result<Register> parse_register(std::string_view text, std::string_view file) {
  Register content;
  content.head = nothing_before();
  for (std::int64_t n = 1; !text.empty(); ++n) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      content.torn = true;
      break;
    }
    BELAY_RETURN_IF_ERROR(
        read_line(text.substr(0, end), fmt::format("{}: line {}", file, n), content));
    text.remove_prefix(end + 1);
  }
  return content;
}

Result<Register> read_register(base::Env& env, const std::string& path) {
  if (!env.exists(path)) return parse_register("", path);
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMostBytes));
  return parse_register(text, path);
}

Result<std::string> append_forecast(base::Env& env, const std::string& path,
                                    const Forecast& forecast) {
  BELAY_ASSIGN_OR_RETURN(Opened opened, open_register(env, path));
  const std::string target = dump(forecast.target);
  for (const Forecast& old : opened.content.forecasts) {
    if (old.kind != forecast.kind || dump(old.target) != target) continue;
    if (old.made_from == forecast.made_from) return old.id;
    if (const Outcome* known = opened.content.outcome_of(old.id)) {
      return base::invalid_argument(
          {.where = path,
           .what = "the outcome of this target is known already",
           .seen = fmt::format("{} (of forecast {})", known->value, old.id),
           .next = "a forecast is written down before its outcome"});
    }
  }
  BELAY_ASSIGN_OR_RETURN(const std::string sha256, append(env, path, opened, fields_of(forecast)));
  return sha256.substr(0, kIdDigits);
}

Status append_outcome(base::Env& env, const std::string& path, const Outcome& outcome) {
  BELAY_ASSIGN_OR_RETURN(Opened opened, open_register(env, path));
  const Outcome* known = opened.content.outcome_of(outcome.of);
  if (known != nullptr && known->value == outcome.value) return {};
  if (known != nullptr) {
    return base::invalid_argument({.where = fmt::format("{}: forecast {}", path, outcome.of),
                                   .what = "has another outcome already",
                                   .seen = fmt::format("{}", outcome.value),
                                   .allowed = fmt::format("{}", known->value)});
  }
  return append(env, path, opened, fields_of(outcome)).status();
}

}  // namespace belay::store
