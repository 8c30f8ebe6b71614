// JSON from outside. A text is first walked without building anything (size, depth, duplicate keys,
// grammar, UTF-8), then parsed; values are taken out by typed getters whose errors name file and
// field. Whole numbers must be written as whole numbers: 3.0 and 3e0 are not accepted for an int.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::base {

struct JsonLimits {
  std::uint64_t max_bytes = std::uint64_t{64} << 20;
  int max_depth = 64;
};

/// One value of a parsed document, with the file and the path inside it for messages. Cheap to
/// copy; keeps the document alive.
class JsonReader {
 public:
  JsonReader(std::shared_ptr<const nlohmann::json> node, std::string file, std::string path);

  const nlohmann::json& node() const { return *node_; }
  bool is_object() const;
  /// The keys of an object in alphabetical order (none for other values).
  std::vector<std::string> keys() const;
  /// The key is there and not null.
  bool has(std::string_view key) const;

  // Getters of an object's fields. require_* fails when the key is missing or null; optional_* then
  // gives the fallback. Bounds are inclusive.
  Result<std::int64_t> require_int(std::string_view key, std::int64_t min, std::int64_t max) const;
  Result<std::int64_t> optional_int(std::string_view key, std::int64_t min, std::int64_t max,
                                    std::int64_t fallback) const;
  Result<double> require_double(std::string_view key, double min, double max) const;
  Result<double> optional_double(std::string_view key, double min, double max,
                                 double fallback) const;
  Result<bool> require_bool(std::string_view key) const;
  Result<bool> optional_bool(std::string_view key, bool fallback) const;
  Result<std::string> require_string(std::string_view key) const;
  Result<std::string> optional_string(std::string_view key, std::string_view fallback) const;
  /// A field that must be an object.
  Result<JsonReader> require_object(std::string_view key) const;
  /// Any field, to be examined further.
  Result<JsonReader> require(std::string_view key) const;

  /// Element i of this value, which must be an array longer than i.
  JsonReader element(std::size_t i) const;

  /// This value as an array of whole numbers in [min, max], at most max_count of them.
  Result<std::vector<std::int64_t>> ints(std::int64_t min, std::int64_t max,
                                         std::size_t max_count) const;
  /// This value as an array of strings, at most max_count of them.
  Result<std::vector<std::string>> strings(std::size_t max_count) const;

  /// A failure at a field of this object ("" means this value itself): fills in where and seen.
  Status error(Code code, std::string_view key, std::string what, std::string allowed = {},
               std::string next = {}) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  Status missing(std::string_view key) const;
  std::string where(std::string_view key) const;

  std::shared_ptr<const nlohmann::json> node_;
  std::string file_;
  std::string path_;
};

/// Parses untrusted text; `file` is what messages call it.
Result<JsonReader> parse_json(std::string_view text, std::string_view file,
                              const JsonLimits& limits = {});

/// A text of our own as a value, for the places that need no messages: discarded (is_discarded())
/// when it is no JSON. Here, because the parser takes seconds to compile wherever it is used.
nlohmann::json json_value(std::string_view text);

/// Bytes that may end within a character, or be none, as JSON takes them.
std::string utf8_text(const std::string& bytes);

/// The same value in the type that keeps the order of keys (they come in alphabetical order).
nlohmann::ordered_json to_ordered(const nlohmann::json& value);

/// A value as a message shows it: compact, escaped, cut.
std::string shown(const nlohmann::json& value);

/// The candidate with the smallest edit distance to `word`, when it is near enough to be a slip.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string_view>& candidates);

}  // namespace belay::base
