#include "store/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.h"
#include "base/hash.h"

namespace belay::store {
namespace {

using base::corrupt;
using base::printable;
using base::Result;
using base::Status;
using base::unsupported;
using nlohmann::json;
using tensor::DType;

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr std::array<StoredType, 20> kTypes = {{
    {"F32", 32, DType::kF32},
    {"BF16", 16, DType::kBF16},
    {"F16", 16, DType::kF16},
    {"F64", 64},
    {"I64", 64},
    {"I32", 32},
    {"I16", 16},
    {"I8", 8},
    {"U64", 64},
    {"U32", 32},
    {"U16", 16},
    {"U8", 8},
    {"BOOL", 8},
    {"F8_E4M3", 8},
    {"F8_E5M2", 8},
    {"F8_E8M0", 8},
    {"F6_E2M3", 6},
    {"F6_E3M2", 6},
    {"F4", 4},
    {"C64", 64},
}};

/// Walks the header's JSON as a small state machine; the first fault ends the walk.
class HeaderWalk final : public nlohmann::json_sax<json> {
 public:
  HeaderWalk(std::string_view file, std::uint64_t data_bytes)
      : file_(file), data_bytes_(data_bytes) {}

  SafetensorsHeader header;
  Status fault;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool number_integer(number_integer_t v) override {  // called for negative numbers only
    return unexpected(std::to_string(v));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return unexpected(printable(text));
  }
  bool binary(binary_t&) override { return unexpected("binary"); }

  bool number_unsigned(number_unsigned_t v) override {
    if (want_ == Want::kDim) {
      if (current_.shape.size() == kMaxDims) {
        return fail_shape("has too many dimensions", "", "at most " + std::to_string(kMaxDims));
      }
      if (v > static_cast<std::uint64_t>(INT64_MAX)) {
        return fail_shape("is out of range", std::to_string(v), "0 to 9223372036854775807");
      }
      current_.shape.push_back(static_cast<std::int64_t>(v));
      return true;
    }
    if (want_ == Want::kOffset && n_offsets_ < 2) {
      (n_offsets_ == 0 ? current_.begin : current_.end) = v;
      ++n_offsets_;
      return true;
    }
    if (want_ == Want::kOffset) return fail_offsets("has more than two entries", "", "");
    return unexpected(std::to_string(v));
  }

  bool string(string_t& text) override {
    if (want_ == Want::kMetaValue) {
      header.metadata.emplace(field_, text);
      want_ = Want::kMetaKey;
      return true;
    }
    if (want_ != Want::kDType) return unexpected(printable(text));
    const StoredType* type = find_stored_type(text);
    if (type == nullptr) {
      return fail(unsupported({.where = where("dtype"),
                               .what = "is not a known element type",
                               .seen = printable(text),
                               .allowed = "F32, F16, BF16"}));
    }
    current_.type = *type;
    want_ = Want::kField;
    return true;
  }

  bool start_object(std::size_t) override {
    if (want_ == Want::kRoot)
      want_ = Want::kName;
    else if (want_ == Want::kEntry)
      want_ = in_metadata_ ? Want::kMetaKey : Want::kField;
    else
      return unexpected("an object");
    return true;
  }

  bool end_object() override {
    if (want_ == Want::kName) {
      want_ = Want::kEnd;
      return true;
    }
    if (want_ == Want::kField && !finish_tensor()) return false;
    want_ = Want::kName;
    return true;
  }

  bool start_array(std::size_t) override {
    if (want_ == Want::kShape)
      want_ = Want::kDim;
    else if (want_ == Want::kOffsets)
      want_ = Want::kOffset;
    else
      return unexpected("an array");
    return true;
  }

  bool end_array() override {
    if (want_ == Want::kOffset && n_offsets_ != 2) {
      return fail_offsets("needs two entries", std::to_string(n_offsets_), "");
    }
    want_ = Want::kField;
    return true;
  }

  bool key(string_t& name) override {
    if (want_ == Want::kName) return start_entry(name);
    field_ = name;
    if (want_ == Want::kMetaKey) {
      want_ = Want::kMetaValue;
      if (!header.metadata.contains(name)) return true;
    } else {
      const std::size_t i = name == "dtype"          ? 0
                            : name == "shape"        ? 1
                            : name == "data_offsets" ? 2
                                                     : 3;
      if (i == 3) {
        return fail(corrupt({.where = where(""),
                             .what = "has an unknown field",
                             .seen = printable(name),
                             .allowed = "dtype, shape, data_offsets"}));
      }
      want_ = std::array{Want::kDType, Want::kShape, Want::kOffsets}[i];
      if (!std::exchange(seen_[i], true)) return true;
    }
    return fail(corrupt({.where = where(""), .what = "has the key " + printable(name) + " twice"}));
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail(corrupt(
        {.where = std::string(file_),
         .what = "its header is not valid JSON near byte " + std::to_string(position + 7)}));
  }

 private:
  enum class Want : std::uint8_t {
    kRoot,
    kName,
    kEntry,
    kField,
    kDType,
    kShape,
    kDim,
    kOffsets,
    kOffset,
    kMetaKey,
    kMetaValue,
    kEnd
  };

  bool start_entry(const std::string& name) {
    in_metadata_ = name == "__metadata__";
    current_ = TensorInfo{};
    current_.name = name;
    seen_ = {};
    n_offsets_ = 0;
    want_ = Want::kEntry;
    if (names_.size() == kMaxTensors) {
      return fail(corrupt({.where = std::string(file_),
                           .what = "names too many tensors",
                           .allowed = "at most " + std::to_string(kMaxTensors)}));
    }
    if (names_.insert(name).second) return true;
    return fail(
        corrupt({.where = std::string(file_), .what = "names " + printable(name) + " twice"}));
  }

  bool finish_tensor() {
    for (std::size_t i = 0; i < 3; ++i) {
      if (!seen_[i]) {
        return fail(corrupt({.where = where(std::array{"dtype", "shape", "data_offsets"}[i]),
                             .what = "is missing"}));
      }
    }
    TensorInfo& t = current_;
    const auto count = base::checked_product<std::int64_t>(t.shape);
    const auto bits = count ? base::checked_mul<std::int64_t>(*count, t.type.bits) : count;
    if (!bits) return fail_shape("is too large", shape_text(t.shape), "less than 2^63 bits in all");
    const std::string offsets = "[" + std::to_string(t.begin) + ", " + std::to_string(t.end) + "]";
    if (t.begin > t.end) return fail_offsets("ends before it begins", offsets, "");
    if (t.end > data_bytes_) {
      return fail_offsets("reaches outside the file", offsets,
                          "at most " + std::to_string(data_bytes_));
    }
    if (*bits % 8 != 0 || t.end - t.begin != static_cast<std::uint64_t>(*bits) / 8) {
      return fail_offsets("does not fit dtype and shape",
                          std::to_string(t.end - t.begin) + " bytes",
                          std::to_string(*bits / 8) + " bytes for " + std::string(t.type.name) +
                              " " + shape_text(t.shape));
    }
    t.count = *count;
    header.tensors.push_back(std::move(t));
    return true;
  }

  std::string where(std::string_view field) const {
    std::string text(file_);
    if (in_metadata_) return text + ": __metadata__";
    text += ": tensor " + printable(current_.name);
    return field.empty() ? text : text + ": " + std::string(field);
  }

  bool fail(Status status) {
    fault = std::move(status);
    return false;
  }
  bool fail_shape(std::string what, std::string seen, std::string allowed) {
    return fail(corrupt({where("shape"), std::move(what), std::move(seen), std::move(allowed)}));
  }
  bool fail_offsets(std::string what, std::string seen, std::string allowed) {
    return fail(
        corrupt({where("data_offsets"), std::move(what), std::move(seen), std::move(allowed)}));
  }

  bool unexpected(std::string seen) {
    switch (want_) {
      case Want::kDim:
        return fail_shape("holds something else than sizes", std::move(seen),
                          "whole numbers from 0");
      case Want::kShape: return fail_shape("is not an array", std::move(seen), "");
      case Want::kOffset:
        return fail_offsets("holds something else than offsets", std::move(seen),
                            "whole numbers from 0");
      case Want::kOffsets: return fail_offsets("is not an array", std::move(seen), "");
      case Want::kDType:
        return fail(corrupt({.where = where("dtype"), .what = "is not a string", .seen = seen}));
      case Want::kMetaValue:
        return fail(corrupt({.where = where("") + ": " + printable(field_),
                             .what = "is not a string",
                             .seen = seen}));
      case Want::kEntry:
        return fail(corrupt({.where = where(""), .what = "is not an object", .seen = seen}));
      default:
        return fail(corrupt(
            {.where = std::string(file_), .what = "its header is not an object", .seen = seen}));
    }
  }

  std::string_view file_;
  std::uint64_t data_bytes_;
  Want want_ = Want::kRoot;
  bool in_metadata_ = false;
  TensorInfo current_;
  std::array<bool, 3> seen_{};
  int n_offsets_ = 0;
  std::string field_;
  std::set<std::string, std::less<>> names_;
};

/// The tensors, ordered by offset, cover the data exactly.
Status check_cover(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes,
                   std::string_view file) {
  std::uint64_t covered = 0;
  for (const TensorInfo& t : tensors) {
    if (t.begin != covered) {
      return corrupt(
          {.where = std::string(file) + ": tensor " + printable(t.name) + ": data_offsets",
           .what = t.begin < covered ? "overlaps the tensor before it" : "leaves a gap",
           .seen = "begin " + std::to_string(t.begin),
           .allowed = std::to_string(covered)});
    }
    covered = t.end;
  }
  if (covered == data_bytes) return {};
  return corrupt({.where = std::string(file),
                  .what = "has bytes after the last tensor",
                  .seen = std::to_string(data_bytes) + " bytes of data",
                  .allowed = std::to_string(covered)});
}

Status attach_checksums(SafetensorsHeader& header, std::string_view file) {
  std::map<std::string_view, TensorInfo*> by_name;
  for (TensorInfo& t : header.tensors) by_name.emplace(t.name, &t);
  for (const auto& [key, text] : header.metadata) {
    if (!key.starts_with(kChecksumPrefix)) continue;
    const auto it = by_name.find(std::string_view(key).substr(kChecksumPrefix.size()));
    const auto value = base::parse_hex64(text);
    if (it == by_name.end() || !value) {
      return corrupt({.where = std::string(file) + ": __metadata__: " + printable(key),
                      .what = it == by_name.end() ? "names a tensor that is not in the file"
                                                  : "is not a checksum",
                      .seen = printable(text),
                      .allowed = "16 hexadecimal digits for a tensor of this file"});
    }
    it->second->xxh3 = *value;
  }
  return {};
}

}  // namespace

const StoredType* find_stored_type(std::string_view name) {
  const auto it = std::find_if(kTypes.begin(), kTypes.end(),
                               [&](const StoredType& type) { return type.name == name; });
  return it == kTypes.end() ? nullptr : &*it;
}

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> bytes,
                                                   std::string_view file) {
  constexpr std::size_t kLengthBytes = 8;
  const std::string where = std::string(file) + ": header";
  const std::string next = "the file is damaged or cut short: fetch or write it again";
  if (bytes.size() < kLengthBytes) {
    return corrupt({.where = where,
                    .what = "the file is too short for one",
                    .seen = std::to_string(bytes.size()) + " bytes",
                    .allowed = "at least 8",
                    .next = next});
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const std::uint64_t most = std::min<std::uint64_t>(kMaxHeaderBytes, bytes.size() - kLengthBytes);
  if (length < 2 || length > most) {
    return corrupt({.where = where,
                    .what = "its length is out of range",
                    .seen = std::to_string(length),
                    .allowed = "2 to " + std::to_string(most),
                    .next = next});
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (text.front() != '{') {
    return corrupt(
        {.where = where, .what = "does not begin with {", .seen = printable(text.substr(0, 1))});
  }
  HeaderWalk walk(file, bytes.size() - kLengthBytes - length);
  if (!json::sax_parse(text.begin(), text.end(), &walk)) return walk.fault;
  SafetensorsHeader header = std::move(walk.header);
  header.data_start = kLengthBytes + length;
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  BELAY_RETURN_IF_ERROR(check_cover(header.tensors, bytes.size() - header.data_start, file));
  BELAY_RETURN_IF_ERROR(attach_checksums(header, file));
  return header;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace belay::store
