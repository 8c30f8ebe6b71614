#include "store/gguf_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>

#include "base/checked.h"
#include "store/safetensors_header.h"

namespace belay::store {
namespace {

using base::corrupt;
using base::printable;
using base::Result;
using base::Status;
using base::unsupported;

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kNext = "the file is damaged or cut short: fetch or write it again";

struct Kind {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<Kind, 13> kKinds = {{{"u8", 1},
                                          {"i8", 1},
                                          {"u16", 2},
                                          {"i16", 2},
                                          {"u32", 4},
                                          {"i32", 4},
                                          {"f32", 4},
                                          {"bool", 1},
                                          {"string", 0},
                                          {"array", 0},
                                          {"u64", 8},
                                          {"i64", 8},
                                          {"f64", 8}}};

// Numbers and block sizes: ggml.h and ggml-common.h of ggml.
constexpr std::array<GgufType, 32> kTypes = {{
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
}};

/// Walks the file from its start; every read is checked against what is left.
class GgufWalk {
 public:
  GgufWalk(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  Result<GgufHeader> run() {
    BELAY_RETURN_IF_ERROR(read_counts());
    for (std::uint64_t i = 0; i < n_keys_; ++i) {
      BELAY_RETURN_IF_ERROR(read_key_value("key number " + std::to_string(i)));
    }
    BELAY_RETURN_IF_ERROR(read_alignment());
    for (std::uint64_t i = 0; i < n_tensors_; ++i) {
      BELAY_RETURN_IF_ERROR(read_tensor("tensor number " + std::to_string(i)));
    }
    // A file without tensors may end before the padding.
    const std::uint64_t rest = at_ % header_.alignment;
    header_.data_start =
        std::min<std::uint64_t>(bytes_.size(), at_ + (rest == 0 ? 0 : header_.alignment - rest));
    BELAY_RETURN_IF_ERROR(check_extents());
    return std::move(header_);
  }

 private:
  std::uint64_t left() const { return bytes_.size() - at_; }
  std::string where(std::string_view what) const {
    return std::string(file_) + ": " + std::string(what);
  }
  Status cut_short(std::string_view what, std::string needed) const {
    return corrupt({.where = where(what),
                    .what = "does not fit in the file",
                    .seen = std::move(needed),
                    .allowed = "at most " + std::to_string(left()) + " bytes",
                    .next = std::string(kNext)});
  }

  template <class T>
  Result<T> number(std::string_view what) {
    if (left() < sizeof(T)) return cut_short(what, std::to_string(sizeof(T)) + " bytes");
    T value{};
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> text(std::string_view what, std::uint64_t most) {
    BELAY_ASSIGN_OR_RETURN(const std::uint64_t size, number<std::uint64_t>(what));
    if (size > left()) return cut_short(what, "a length of " + std::to_string(size) + " bytes");
    if (size > most) {
      return corrupt({.where = where(what),
                      .what = "is too long",
                      .seen = std::to_string(size) + " bytes",
                      .allowed = "at most " + std::to_string(most)});
    }
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += size;
    return std::string_view(begin, size);
  }

  /// A count of things that take at least `least` bytes each.
  Status check_count(std::string_view what, std::uint64_t count, std::uint64_t least,
                     std::uint64_t most) const {
    const std::uint64_t allowed = std::min(most, left() / least);
    if (count <= allowed) return {};
    return corrupt({.where = where(what),
                    .what = "is more than the file can hold",
                    .seen = std::to_string(count),
                    .allowed = "at most " + std::to_string(allowed),
                    .next = std::string(kNext)});
  }

  Status read_counts() {
    if (!is_gguf(bytes_)) {
      return corrupt({.where = where("magic"),
                      .what = "is not that of a GGUF file",
                      .seen = printable({reinterpret_cast<const char*>(bytes_.data()),
                                         std::min<std::size_t>(bytes_.size(), 4)}),
                      .allowed = "'GGUF'"});
    }
    at_ = kMagic.size();
    BELAY_ASSIGN_OR_RETURN(header_.version, number<std::uint32_t>("version"));
    if (header_.version != 2 && header_.version != 3) {
      const bool swapped = __builtin_bswap32(header_.version) <= 3;
      return unsupported(
          {.where = where("version"),
           .what = swapped ? "is big-endian, which is not supported" : "is not supported",
           .seen = std::to_string(header_.version),
           .allowed = "2, 3, little-endian"});
    }
    constexpr std::uint64_t kLeastTensor = 8 + 4 + 4 + 8, kLeastKey = 8 + 4 + 1;
    BELAY_ASSIGN_OR_RETURN(n_tensors_, number<std::uint64_t>("number of tensors"));
    BELAY_ASSIGN_OR_RETURN(n_keys_, number<std::uint64_t>("number of keys"));
    BELAY_RETURN_IF_ERROR(
        check_count("number of tensors", n_tensors_, kLeastTensor, kMaxGgufTensors));
    return check_count("number of keys", n_keys_, kLeastKey, kMaxGgufKeys);
  }

  Result<GgufKind> kind(std::string_view what) {
    BELAY_ASSIGN_OR_RETURN(const std::uint32_t number_, number<std::uint32_t>(what));
    if (number_ < kKinds.size()) return static_cast<GgufKind>(number_);
    return corrupt({.where = where(what),
                    .what = "has a kind that is not known",
                    .seen = std::to_string(number_),
                    .allowed = "0 to " + std::to_string(kKinds.size() - 1)});
  }

  Status read_key_value(const std::string& place) {
    BELAY_ASSIGN_OR_RETURN(const std::string_view key, text(place, kMaxGgufKeyBytes));
    const std::string what = "key " + printable(key);
    if (key.empty()) return corrupt({.where = where(place), .what = "is empty"});
    GgufValue value;
    BELAY_ASSIGN_OR_RETURN(value.kind, kind(what));
    BELAY_RETURN_IF_ERROR(read_value(what, value));
    if (!header_.values.emplace(key, value).second) {
      return corrupt({.where = where(what), .what = "is there twice"});
    }
    return {};
  }

  Status read_value(std::string_view what, GgufValue& value) {
    if (value.kind == GgufKind::kString) {
      BELAY_ASSIGN_OR_RETURN(const std::string_view string, text(what, UINT64_MAX));
      value.bytes = std::as_bytes(std::span(string));
      return {};
    }
    GgufKind element = value.kind;
    if (value.kind == GgufKind::kArray) {
      BELAY_ASSIGN_OR_RETURN(element, kind(what));
      if (element == GgufKind::kArray) {
        return unsupported({.where = where(what),
                            .what = "is an array of arrays, which is not supported",
                            .allowed = "an array of numbers or strings"});
      }
      value.element = element;
      BELAY_ASSIGN_OR_RETURN(value.count, number<std::uint64_t>(what));
    }
    const std::size_t size = gguf_kind_bytes(element);
    const std::uint64_t least = size > 0 ? size : sizeof(std::uint64_t);
    BELAY_RETURN_IF_ERROR(check_count(what, value.count, least, UINT64_MAX));
    const std::uint64_t begin = at_;
    if (size > 0) {
      at_ += value.count * size;
    } else {
      for (std::uint64_t i = 0; i < value.count; ++i) {
        BELAY_RETURN_IF_ERROR(skip_string(what));
      }
    }
    value.bytes = bytes_.subspan(begin, at_ - begin);
    return element == GgufKind::kBool ? check_bools(what, value.bytes) : Status();
  }

  Status skip_string(std::string_view what) {
    const auto string = text(what, UINT64_MAX);
    return string.status();
  }

  Status check_bools(std::string_view what, std::span<const std::byte> bytes) const {
    const auto it = std::find_if(bytes.begin(), bytes.end(),
                                 [](std::byte b) { return std::to_integer<int>(b) > 1; });
    if (it == bytes.end()) return {};
    return corrupt({.where = where(what),
                    .what = "is no truth value",
                    .seen = std::to_string(std::to_integer<int>(*it)),
                    .allowed = "0, 1"});
  }

  Status read_alignment() {
    const auto it = header_.values.find("general.alignment");
    if (it == header_.values.end()) return {};
    std::uint32_t alignment = 0;
    if (it->second.kind == GgufKind::kU32) std::memcpy(&alignment, it->second.bytes.data(), 4);
    if (!std::has_single_bit(alignment) || alignment < 8 || alignment > kMaxGgufAlignment) {
      return corrupt({.where = where("key 'general.alignment'"),
                      .what = "is not an alignment",
                      .seen = it->second.kind == GgufKind::kU32
                                  ? std::to_string(alignment)
                                  : std::string(gguf_kind_name(it->second.kind)),
                      .allowed = "u32: a power of two from 8 to 65536"});
    }
    header_.alignment = alignment;
    return {};
  }

  Status read_dims(const std::string& what, GgufTensor& tensor) {
    BELAY_ASSIGN_OR_RETURN(const std::uint32_t n_dims, number<std::uint32_t>(what));
    if (n_dims > kMaxGgufDims) {
      return corrupt({.where = where(what) + ": dimensions",
                      .what = "are too many",
                      .seen = std::to_string(n_dims),
                      .allowed = "at most " + std::to_string(kMaxGgufDims)});
    }
    for (std::uint32_t d = 0; d < n_dims; ++d) {
      BELAY_ASSIGN_OR_RETURN(const std::uint64_t dim, number<std::uint64_t>(what));
      if (dim < 1 || dim > static_cast<std::uint64_t>(INT64_MAX)) {
        return corrupt({.where = where(what) + ": dimension " + std::to_string(d),
                        .what = "is out of range",
                        .seen = std::to_string(dim),
                        .allowed = "1 to 9223372036854775807"});
      }
      tensor.dims.push_back(static_cast<std::int64_t>(dim));
    }
    const auto count = base::checked_product<std::int64_t>(tensor.dims);
    if (!count) {
      return corrupt({.where = where(what) + ": dimensions",
                      .what = "have a product that is too large",
                      .seen = shape_text(tensor.dims)});
    }
    tensor.count = *count;
    return {};
  }

  /// begin and end from the offset in the file.
  Status place(const std::string& what, std::uint64_t offset, GgufTensor& tensor) const {
    if (offset % header_.alignment != 0) {
      return corrupt({.where = where(what) + ": offset",
                      .what = "is not aligned",
                      .seen = std::to_string(offset),
                      .allowed = "a multiple of " + std::to_string(header_.alignment)});
    }
    tensor.begin = tensor.end = offset;
    if (tensor.type == nullptr) return {};
    const std::int64_t row = tensor.dims.empty() ? 1 : tensor.dims.front();
    if (row % tensor.type->block_weights != 0) {
      return corrupt(
          {.where = where(what) + ": dimension 0",
           .what = "holds no whole number of blocks of " + std::string(tensor.type->name),
           .seen = std::to_string(row),
           .allowed = "a multiple of " + std::to_string(tensor.type->block_weights)});
    }
    const auto bytes = base::checked_mul<std::uint64_t>(
        static_cast<std::uint64_t>(tensor.count / tensor.type->block_weights),
        static_cast<std::uint64_t>(tensor.type->block_bytes));
    const auto end = bytes ? base::checked_add<std::uint64_t>(offset, *bytes) : std::nullopt;
    if (!end) {
      return corrupt({.where = where(what) + ": offset",
                      .what = "and size have a sum that is too large",
                      .seen = std::to_string(offset) + " and " + shape_text(tensor.dims)});
    }
    tensor.end = *end;
    return {};
  }

  Status read_tensor(const std::string& number_) {
    GgufTensor tensor;
    BELAY_ASSIGN_OR_RETURN(const std::string_view name, text(number_, kMaxGgufNameBytes));
    tensor.name = std::string(name);
    const std::string what = "tensor " + printable(name);
    if (name.empty()) return corrupt({.where = where(number_), .what = "has no name"});
    BELAY_RETURN_IF_ERROR(read_dims(what, tensor));
    BELAY_ASSIGN_OR_RETURN(tensor.type_id, number<std::uint32_t>(what));
    tensor.type = find_gguf_type(tensor.type_id);
    BELAY_ASSIGN_OR_RETURN(const std::uint64_t offset, number<std::uint64_t>(what));
    BELAY_RETURN_IF_ERROR(place(what, offset, tensor));
    if (!names_.emplace(tensor.name).second) {
      return corrupt({.where = where(what), .what = "is there twice"});
    }
    header_.tensors.push_back(std::move(tensor));
    return {};
  }

  /// Inside the file, and none over another.
  Status check_extents() {
    const std::uint64_t data_bytes = bytes_.size() - header_.data_start;
    std::stable_sort(header_.tensors.begin(), header_.tensors.end(),
                     [](const auto& a, const auto& b) { return a.begin < b.begin; });
    std::uint64_t done = 0;
    for (const GgufTensor& tensor : header_.tensors) {
      const std::string what = where("tensor " + printable(tensor.name)) + ": data";
      const std::string seen =
          "[" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
      if (tensor.end > data_bytes) {
        return corrupt({.where = what,
                        .what = "reaches outside the file",
                        .seen = seen,
                        .allowed = "at most " + std::to_string(data_bytes),
                        .next = std::string(kNext)});
      }
      if (tensor.begin < done) {
        return corrupt({.where = what, .what = "overlaps another tensor's", .seen = seen});
      }
      done = tensor.end;
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::uint64_t at_ = 0;
  std::uint64_t n_tensors_ = 0, n_keys_ = 0;
  std::set<std::string> names_;
  GgufHeader header_;
};

}  // namespace

std::string_view gguf_kind_name(GgufKind kind) {
  const auto i = static_cast<std::size_t>(kind);
  return i < kKinds.size() ? kKinds[i].name : "?";
}

std::size_t gguf_kind_bytes(GgufKind kind) {
  const auto i = static_cast<std::size_t>(kind);
  return i < kKinds.size() ? kKinds[i].bytes : 0;
}

const GgufType* find_gguf_type(std::uint32_t id) {
  const auto it = std::find_if(kTypes.begin(), kTypes.end(),
                               [&](const GgufType& type) { return type.id == id; });
  return it == kTypes.end() ? nullptr : &*it;
}

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<GgufHeader> parse_gguf_header(std::span<const std::byte> bytes, std::string_view file) {
  return GgufWalk(bytes, file).run();
}

}  // namespace belay::store
