#include "store/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

namespace belay::store {
namespace {

using base::Code;
using base::Result;
using base::Status;

template <class T>
T load(const std::byte* p) {
  T value{};
  std::memcpy(&value, p, sizeof(T));
  return value;
}

bool is_whole(GgufKind kind) {
  return gguf_kind_bytes(kind) > 0 && kind != GgufKind::kF32 && kind != GgufKind::kF64 &&
         kind != GgufKind::kBool;
}

bool is_real(GgufKind kind) { return kind == GgufKind::kF32 || kind == GgufKind::kF64; }

/// A whole number of the file; nothing where 63 bits do not hold it.
std::optional<std::int64_t> whole(GgufKind kind, const std::byte* p) {
  switch (kind) {
    case GgufKind::kU8: return load<std::uint8_t>(p);
    case GgufKind::kI8: return load<std::int8_t>(p);
    case GgufKind::kU16: return load<std::uint16_t>(p);
    case GgufKind::kI16: return load<std::int16_t>(p);
    case GgufKind::kU32: return load<std::uint32_t>(p);
    case GgufKind::kI32: return load<std::int32_t>(p);
    case GgufKind::kI64: return load<std::int64_t>(p);
    case GgufKind::kU64: {
      const auto wide = load<std::uint64_t>(p);
      if (wide > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
      return static_cast<std::int64_t>(wide);
    }
    default: return std::nullopt;
  }
}

double real(GgufKind kind, const std::byte* p) {
  return kind == GgufKind::kF32 ? static_cast<double>(load<float>(p)) : load<double>(p);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// As a message shows it.
std::string shown(const GgufValue& v) {
  if (v.kind == GgufKind::kString) return base::printable(text_of(v.bytes));
  if (v.kind == GgufKind::kArray) {
    return fmt::format("an array of {} {}", v.count, gguf_kind_name(v.element));
  }
  if (v.kind == GgufKind::kBool) return load<std::uint8_t>(v.bytes.data()) != 0 ? "true" : "false";
  if (is_real(v.kind)) return fmt::format("{}", real(v.kind, v.bytes.data()));
  if (v.kind == GgufKind::kU64) return std::to_string(load<std::uint64_t>(v.bytes.data()));
  return std::to_string(whole(v.kind, v.bytes.data()).value_or(0));
}

}  // namespace

Result<GgufFile> GgufFile::open(base::Env& env, const std::string& path) {
  GgufFile file;
  file.path_ = path;
  BELAY_ASSIGN_OR_RETURN(file.file_, env.map_file(path));
  BELAY_ASSIGN_OR_RETURN(file.header_, parse_gguf_header(file.file_.bytes(), path));
  std::sort(file.header_.tensors.begin(), file.header_.tensors.end(),
            [](const GgufTensor& a, const GgufTensor& b) { return a.name < b.name; });
  return file;
}

std::vector<std::string_view> GgufFile::keys() const {
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : header_.values) keys.push_back(key);
  return keys;
}

const GgufValue* GgufFile::value(std::string_view key) const {
  const auto it = header_.values.find(key);
  return it == header_.values.end() ? nullptr : &it->second;
}

bool GgufFile::is_array(std::string_view key) const {
  const GgufValue* v = value(key);
  return v != nullptr && v->kind == GgufKind::kArray;
}

std::string GgufFile::where(std::string_view key) const {
  return path_ + ": key " + base::printable(key);
}

Status GgufFile::error(Code code, std::string_view key, std::string what, std::string allowed,
                       std::string next) const {
  const GgufValue* v = value(key);
  return {code,
          {.where = where(key),
           .what = std::move(what),
           .seen = v == nullptr ? "" : shown(*v),
           .allowed = std::move(allowed),
           .next = std::move(next)}};
}

Result<const GgufValue*> GgufFile::scalar(std::string_view key) const {
  const GgufValue* v = value(key);
  if (v == nullptr) return error(Code::kCorrupt, key, "is missing");
  return v;
}

Result<std::int64_t> GgufFile::require_int(std::string_view key, std::int64_t min,
                                           std::int64_t max) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, scalar(key));
  if (!is_whole(v->kind)) return error(Code::kCorrupt, key, "is not a whole number");
  const std::optional<std::int64_t> number = whole(v->kind, v->bytes.data());
  if (number && *number >= min && *number <= max) return *number;
  return error(Code::kCorrupt, key, "is out of range", fmt::format("{} to {}", min, max));
}

Result<std::int64_t> GgufFile::optional_int(std::string_view key, std::int64_t min,
                                            std::int64_t max, std::int64_t fallback) const {
  if (!has(key)) return fallback;
  return require_int(key, min, max);
}

Result<double> GgufFile::require_double(std::string_view key, double min, double max) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, scalar(key));
  if (!is_real(v->kind)) return error(Code::kCorrupt, key, "is not a real number", "f32, f64");
  const double number = real(v->kind, v->bytes.data());
  if (number >= min && number <= max) return number;
  return error(Code::kCorrupt, key, "is out of range", fmt::format("{} to {}", min, max));
}

Result<double> GgufFile::optional_double(std::string_view key, double min, double max,
                                         double fallback) const {
  if (!has(key)) return fallback;
  return require_double(key, min, max);
}

Result<bool> GgufFile::optional_bool(std::string_view key, bool fallback) const {
  const GgufValue* v = value(key);
  if (v == nullptr) return fallback;
  if (v->kind != GgufKind::kBool) return error(Code::kCorrupt, key, "is not a truth value");
  return load<std::uint8_t>(v->bytes.data()) != 0;
}

Result<std::string> GgufFile::require_string(std::string_view key) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, scalar(key));
  if (v->kind != GgufKind::kString) return error(Code::kCorrupt, key, "is not a string");
  return std::string(text_of(v->bytes));
}

Result<std::string> GgufFile::optional_string(std::string_view key,
                                              std::string_view fallback) const {
  if (!has(key)) return std::string(fallback);
  return require_string(key);
}

Result<const GgufValue*> GgufFile::array(std::string_view key, std::size_t max_count) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, scalar(key));
  if (v->kind != GgufKind::kArray) return error(Code::kCorrupt, key, "is not an array");
  if (v->count > max_count) {
    return error(Code::kCorrupt, key, "is too long", "at most " + std::to_string(max_count));
  }
  return v;
}

Result<std::vector<std::int64_t>> GgufFile::ints(std::string_view key, std::int64_t min,
                                                 std::int64_t max, std::size_t max_count) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, array(key, max_count));
  if (!is_whole(v->element)) return error(Code::kCorrupt, key, "does not hold whole numbers");
  const std::size_t size = gguf_kind_bytes(v->element);
  std::vector<std::int64_t> numbers;
  numbers.reserve(v->count);
  for (std::size_t i = 0; i < v->count; ++i) {
    const std::optional<std::int64_t> number = whole(v->element, v->bytes.data() + i * size);
    if (!number || *number < min || *number > max) {
      return error(Code::kCorrupt, key,
                   fmt::format("has element {} out of range{}", i,
                               number ? fmt::format(", {}", *number) : std::string()),
                   fmt::format("{} to {}", min, max));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

Result<std::vector<float>> GgufFile::floats(std::string_view key, std::size_t max_count) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, array(key, max_count));
  if (v->element != GgufKind::kF32) return error(Code::kCorrupt, key, "does not hold f32 numbers");
  std::vector<float> numbers(v->count);
  if (!numbers.empty()) std::memcpy(numbers.data(), v->bytes.data(), v->bytes.size());
  const auto it =
      std::find_if_not(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); });
  if (it == numbers.end()) return numbers;
  return error(Code::kCorrupt, key, "holds a number that is not finite");
}

Result<std::vector<std::string>> GgufFile::strings(std::string_view key,
                                                   std::size_t max_count) const {
  BELAY_ASSIGN_OR_RETURN(const GgufValue* v, array(key, max_count));
  if (v->element != GgufKind::kString) return error(Code::kCorrupt, key, "does not hold strings");
  std::vector<std::string> strings;
  strings.reserve(v->count);
  std::string_view rest = text_of(v->bytes);  // its lengths were checked when the file was opened
  for (std::size_t i = 0; i < v->count; ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, rest.data(), sizeof size);
    strings.emplace_back(rest.substr(sizeof size, size));
    rest.remove_prefix(sizeof size + size);
  }
  return strings;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto& all = header_.tensors;
  const auto it = std::lower_bound(
      all.begin(), all.end(), name,
      [](const GgufTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return it == all.end() || it->name != name ? nullptr : &*it;
}

std::string GgufFile::where(const GgufTensor& tensor) const {
  return path_ + ": tensor " + base::printable(tensor.name);
}

std::span<const std::byte> GgufFile::bytes(const GgufTensor& tensor) const {
  return file_.bytes().subspan(header_.data_start + tensor.begin, tensor.end - tensor.begin);
}

}  // namespace belay::store
