#include "base/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace belay::base {
namespace {

using nlohmann::json;

/// Walks the text and builds nothing: refuses what must not be built.
class Guard final : public nlohmann::json_sax<json> {
 public:
  Guard(std::string_view file, int max_depth) : file_(file), max_depth_(max_depth) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return enter();
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    fault_ = corrupt({.where = std::string(file_),
                      .what = "has the key " + printable(name) + " twice",
                      .next = "remove one of them"});
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    std::string what = e.what();  // "[json.exception.parse_error.101] parse error at line ..."
    if (const auto end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    fault_ = corrupt({.where = std::string(file_),
                      .what = "is not valid JSON near byte " + std::to_string(position) + ": " +
                              printable(what, 300)});
    return false;
  }

  Status take() { return fault_; }

 private:
  bool enter() {
    if (++depth_ <= max_depth_) return true;
    fault_ = corrupt({.where = std::string(file_),
                      .what = "is nested too deeply",
                      .allowed = "at most " + std::to_string(max_depth_) + " levels"});
    return false;
  }
  std::string_view file_;
  int max_depth_;
  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the open objects
  Status fault_;
};

std::string range_text(auto min, auto max) { return json(min).dump() + " to " + json(max).dump(); }

/// The whole number in a node, when it is one and lies in [min, max].
std::optional<std::int64_t> as_int(const json& node, std::int64_t min, std::int64_t max) {
  if (!node.is_number_integer()) return std::nullopt;
  if (node.is_number_unsigned() &&
      node.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return std::nullopt;
  }
  const auto value = node.get<std::int64_t>();
  if (value < min || value > max) return std::nullopt;
  return value;
}

}  // namespace

Result<JsonReader> parse_json(std::string_view text, std::string_view file,
                              const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return resource_exhausted(
        {.where = std::string(file),
         .what = "is too large",
         .seen = std::to_string(text.size()) + " bytes",
         .allowed = "at most " + std::to_string(limits.max_bytes) + " bytes"});
  }
  Guard guard(file, limits.max_depth);
  if (!json::sax_parse(text.begin(), text.end(), &guard)) return guard.take();
  return JsonReader(std::make_shared<const json>(json_value(text)), std::string(file), "");
}

json json_value(std::string_view text) {
  return json::parse(text.begin(), text.end(), nullptr, false);
}

std::string utf8_text(const std::string& bytes) {
  const std::string quoted = json(bytes).dump(-1, ' ', false, json::error_handler_t::replace);
  return json_value(quoted).get<std::string>();
}

nlohmann::ordered_json to_ordered(const json& value) { return nlohmann::ordered_json(value); }

JsonReader::JsonReader(std::shared_ptr<const json> node, std::string file, std::string path)
    : node_(std::move(node)), file_(std::move(file)), path_(std::move(path)) {}

bool JsonReader::is_object() const { return node_->is_object(); }

std::vector<std::string> JsonReader::keys() const {
  std::vector<std::string> names;
  if (!is_object()) return names;
  for (const auto& item : node_->items()) names.push_back(item.key());
  return names;
}

const json* JsonReader::find(std::string_view key) const {
  if (!node_->is_object()) return nullptr;
  const auto it = node_->find(key);
  return it == node_->end() || it->is_null() ? nullptr : &*it;
}

bool JsonReader::has(std::string_view key) const { return find(key) != nullptr; }

namespace {

/// path.key; a key that is not a plain word is quoted and escaped.
std::string join_key(const std::string& path, std::string_view key) {
  const bool plain = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  const std::string name = plain && key.size() <= 64 ? std::string(key) : printable(key);
  if (path.empty() || name.empty()) return path + name;
  return path + "." + name;
}

}  // namespace

std::string JsonReader::where(std::string_view key) const {
  const std::string path = join_key(path_, key);
  return path.empty() ? file_ : file_ + ": " + path;
}

Status JsonReader::error(Code code, std::string_view key, std::string what, std::string allowed,
                         std::string next) const {
  const json* value = key.empty() ? node_.get() : find(key);
  return {code,
          {.where = where(key),
           .what = std::move(what),
           .seen = value == nullptr ? std::string() : shown(*value),
           .allowed = std::move(allowed),
           .next = std::move(next)}};
}

Status JsonReader::missing(std::string_view key) const {
  if (!is_object()) return error(Code::kCorrupt, "", "is not a JSON object");
  return corrupt({.where = where(key), .what = "is missing"});
}

Result<std::int64_t> JsonReader::require_int(std::string_view key, std::int64_t min,
                                             std::int64_t max) const {
  const json* value = find(key);
  if (value == nullptr) return missing(key);
  const auto number = as_int(*value, min, max);
  if (number) return *number;
  return error(Code::kCorrupt, key,
               value->is_number_integer() ? "is out of range" : "is not a whole number",
               range_text(min, max));
}

Result<std::int64_t> JsonReader::optional_int(std::string_view key, std::int64_t min,
                                              std::int64_t max, std::int64_t fallback) const {
  if (is_object() && !has(key)) return fallback;
  return require_int(key, min, max);
}

Result<double> JsonReader::require_double(std::string_view key, double min, double max) const {
  const json* value = find(key);
  if (value == nullptr) return missing(key);
  if (!value->is_number())
    return error(Code::kCorrupt, key, "is not a number", range_text(min, max));
  const auto number = value->get<double>();
  if (number >= min && number <= max) return number;
  return error(Code::kCorrupt, key, "is out of range", range_text(min, max));
}

Result<double> JsonReader::optional_double(std::string_view key, double min, double max,
                                           double fallback) const {
  if (is_object() && !has(key)) return fallback;
  return require_double(key, min, max);
}

Result<bool> JsonReader::require_bool(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return missing(key);
  if (value->is_boolean()) return value->get<bool>();
  return error(Code::kCorrupt, key, "is not a truth value", "true or false");
}

Result<bool> JsonReader::optional_bool(std::string_view key, bool fallback) const {
  if (is_object() && !has(key)) return fallback;
  return require_bool(key);
}

Result<std::string> JsonReader::require_string(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return missing(key);
  if (value->is_string()) return value->get<std::string>();
  return error(Code::kCorrupt, key, "is not a string");
}

Result<std::string> JsonReader::optional_string(std::string_view key,
                                                std::string_view fallback) const {
  if (is_object() && !has(key)) return std::string(fallback);
  return require_string(key);
}

Result<JsonReader> JsonReader::require(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return missing(key);
  return JsonReader(std::shared_ptr<const json>(node_, value), file_, join_key(path_, key));
}

JsonReader JsonReader::element(std::size_t i) const {
  BELAY_CHECK(node_->is_array() && i < node_->size(), "element() outside an array");
  return {std::shared_ptr<const json>(node_, &(*node_)[i]), file_,
          path_ + "[" + std::to_string(i) + "]"};
}

Result<JsonReader> JsonReader::require_object(std::string_view key) const {
  BELAY_ASSIGN_OR_RETURN(JsonReader reader, require(key));
  if (!reader.is_object()) return error(Code::kCorrupt, key, "is not a JSON object");
  return reader;
}

Result<std::vector<std::int64_t>> JsonReader::ints(std::int64_t min, std::int64_t max,
                                                   std::size_t max_count) const {
  if (!node_->is_array()) return error(Code::kCorrupt, "", "is not an array of whole numbers");
  if (node_->size() > max_count) {
    return error(Code::kCorrupt, "", "has " + std::to_string(node_->size()) + " entries",
                 "at most " + std::to_string(max_count));
  }
  std::vector<std::int64_t> values;
  values.reserve(node_->size());
  for (const json& item : *node_) {
    const auto value = as_int(item, min, max);
    if (!value) {
      return corrupt(
          {.where = where("") + "[" + std::to_string(values.size()) + "]",
           .what = item.is_number_integer() ? "is out of range" : "is not a whole number",
           .seen = shown(item),
           .allowed = range_text(min, max)});
    }
    values.push_back(*value);
  }
  return values;
}

Result<std::vector<std::string>> JsonReader::strings(std::size_t max_count) const {
  if (!node_->is_array() || node_->size() > max_count) {
    return error(Code::kCorrupt, "",
                 "is not an array of at most " + std::to_string(max_count) + " strings");
  }
  std::vector<std::string> values;
  for (const json& item : *node_) {
    if (!item.is_string()) {
      return corrupt({.where = where("") + "[" + std::to_string(values.size()) + "]",
                      .what = "is not a string",
                      .seen = shown(item)});
    }
    values.push_back(item.get<std::string>());
  }
  return values;
}

std::string shown(const json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_array()) return "an array of " + std::to_string(value.size());
  if (value.is_object()) return "an object of " + std::to_string(value.size());
  return value.dump();
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i + 1);
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t replace = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replace, row[j + 1] + 1, row[j] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = std::string(candidate);
    }
  }
  return best;
}

}  // namespace belay::base
