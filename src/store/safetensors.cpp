#include "store/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/hash.h"
#include "base/json.h"

namespace belay::store {
namespace {

using base::Code;
using base::corrupt;
using base::Env;
using base::not_found;
using base::printable;
using base::Result;
using base::Status;
using base::unsupported;
using tensor::DType;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{32} << 20;
constexpr std::size_t kMaxShards = 4096;

/// A name that cannot lead out of its folder.
bool is_plain_shard_name(std::string_view name) {
  return name.ends_with(".safetensors") && name.size() <= 255 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace

Result<TensorFiles> TensorFiles::open(Env& env, const std::string& path) {
  TensorFiles files;
  if (!env.is_directory(path)) {
    BELAY_RETURN_IF_ERROR(files.add_shard(env, path));
  } else if (const auto single = base::join_path(path, kSingleFile); env.exists(single)) {
    BELAY_RETURN_IF_ERROR(files.add_shard(env, single));
  } else if (const auto index = base::join_path(path, kIndexFile); env.exists(index)) {
    BELAY_RETURN_IF_ERROR(files.add_indexed(env, path, index));
  } else {
    return not_found(
        {.where = path,
         .what = "has no weights",
         .allowed = "a folder with model.safetensors or model.safetensors.index.json"});
  }
  BELAY_RETURN_IF_ERROR(files.sort_by_name());
  return files;
}

Status TensorFiles::add_shard(Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(base::MappedFile file, env.map_file(path));
  BELAY_ASSIGN_OR_RETURN(SafetensorsHeader header, parse_safetensors_header(file.bytes(), path));
  for (TensorInfo& tensor : header.tensors) {
    tensor.file = shards_.size();
    tensors_.push_back(std::move(tensor));
  }
  if (shards_.empty()) metadata_ = std::move(header.metadata);
  shards_.push_back({path, std::move(file), header.data_start});
  return {};
}

Status TensorFiles::add_indexed(Env& env, const std::string& folder, const std::string& index) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(index, kMaxIndexBytes));
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader root, base::parse_json(text, index));
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader map, root.require_object("weight_map"));
  std::map<std::string, std::string> shard_of;  // tensor -> file name
  std::set<std::string> names;
  for (const auto& [tensor, value] : map.node().items()) {
    const std::string where = index + ": weight_map: " + printable(tensor);
    if (!value.is_string() || !is_plain_shard_name(value.get_ref<const std::string&>())) {
      return corrupt({.where = where,
                      .what = "does not name a file of this folder",
                      .seen = base::shown(value),
                      .allowed = "a plain file name that ends in .safetensors"});
    }
    shard_of[tensor] = value.get<std::string>();
    names.insert(value.get<std::string>());
    if (names.size() > kMaxShards) {
      return corrupt({.where = where,
                      .what = "too many files are named",
                      .allowed = "at most " + std::to_string(kMaxShards)});
    }
  }
  for (const std::string& name : names) {
    const std::size_t first = tensors_.size();
    BELAY_RETURN_IF_ERROR(add_shard(env, base::join_path(folder, name)).within(index));
    for (std::size_t i = first; i < tensors_.size(); ++i) {
      const auto it = shard_of.find(tensors_[i].name);
      if (it == shard_of.end() || it->second != name) {
        return corrupt({.where = where(tensors_[i]),
                        .what = "is not where the index says",
                        .seen = name,
                        .allowed = it == shard_of.end()
                                       ? "a tensor that weight_map of " + index + " lists"
                                       : it->second});
      }
      shard_of.erase(it);
    }
  }
  if (shard_of.empty()) return {};
  return corrupt({.where = base::join_path(folder, shard_of.begin()->second),
                  .what = "lacks tensor " + printable(shard_of.begin()->first) +
                          ", which the index places there"});
}

Status TensorFiles::sort_by_name() {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(tensors_.begin(), tensors_.end(),
                         [](const TensorInfo& a, const TensorInfo& b) { return a.name == b.name; });
  if (twice == tensors_.end()) return {};
  return corrupt({.where = where(*twice), .what = "is in two files"});
}

const TensorInfo* TensorFiles::find(std::string_view name) const {
  const auto it = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return it == tensors_.end() || it->name != name ? nullptr : &*it;
}

std::string TensorFiles::where(const TensorInfo& tensor) const {
  return shards_[tensor.file].path + ": tensor " + printable(tensor.name);
}

std::span<const std::byte> TensorFiles::bytes(const TensorInfo& tensor) const {
  const Shard& shard = shards_[tensor.file];
  return shard.file.bytes().subspan(shard.data_start + tensor.begin, tensor.end - tensor.begin);
}

std::uint64_t TensorFiles::header_xxh3() const {
  const Shard& shard = shards_.front();
  return base::xxh3_64(shard.file.bytes().first(shard.data_start));
}

Status TensorFiles::read_f32(std::string_view name, std::span<float> out) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) {
    return not_found({.where = shards_.front().path, .what = "has no tensor " + printable(name)});
  }
  if (!info->type.dtype) {
    return unsupported({.where = where(*info) + ": dtype",
                        .what = "cannot be computed with",
                        .seen = std::string(info->type.name),
                        .allowed = "F32, F16, BF16"});
  }
  if (static_cast<std::uint64_t>(info->count) != out.size()) {
    return corrupt({.where = where(*info),
                    .what = "has another number of elements than expected",
                    .seen = std::to_string(info->count) + ", shape " + shape_text(info->shape),
                    .allowed = std::to_string(out.size())});
  }
  BELAY_RETURN_IF_ERROR(verify(*info));
  read_elements(*info, 0, out);
  return {};
}

Status TensorFiles::verify(const TensorInfo& tensor) const {
  if (!tensor.xxh3) return {};
  const std::uint64_t seen = base::xxh3_64(bytes(tensor));
  if (seen == *tensor.xxh3) return {};
  return corrupt({.where = where(tensor),
                  .what = "does not match its checksum",
                  .seen = base::hex64(seen),
                  .allowed = base::hex64(*tensor.xxh3),
                  .next = "the file was damaged after it was written: use another copy"});
}

void TensorFiles::read_elements(const TensorInfo& tensor, std::uint64_t first,
                                std::span<float> out) const {
  BELAY_CHECK(tensor.type.dtype && first + out.size() <= static_cast<std::uint64_t>(tensor.count),
              "elements of a type that can be read, inside the tensor");
  if (out.empty()) return;
  const auto size = static_cast<std::size_t>(tensor::dtype_bytes(*tensor.type.dtype));
  const std::byte* stored = bytes(tensor).data() + first * size;
  if (*tensor.type.dtype == DType::kF32) {
    std::memcpy(out.data(), stored, out.size() * size);
    return;
  }
  const bool half = *tensor.type.dtype == DType::kF16;
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, stored + 2 * i, 2);
    out[i] = half ? tensor::half_to_float(bits) : tensor::to_float(tensor::bf16{bits});
  }
}

namespace {

float value_of(float v) { return v; }
float value_of(tensor::bf16 v) { return tensor::to_float(v); }

/// An exponent of all ones is an infinity or a NaN.
bool is_finite(float v) { return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) != 0x7f800000u; }
bool is_finite(tensor::bf16 v) { return (v.bits & 0x7f80u) != 0x7f80u; }

template <class T>
Status check_all_finite(std::span<const T> values, std::string_view where, std::uint64_t first) {
  constexpr std::size_t kBlock = 4096;
  for (std::size_t start = 0; start < values.size(); start += kBlock) {
    const auto block = values.subspan(start, std::min(kBlock, values.size() - start));
    std::uint16_t bad = 0;  // without a branch, so that it vectorizes
    for (const T v : block) bad |= static_cast<std::uint16_t>(is_finite(v) ? 0 : 1);
    if (bad == 0) continue;
    const auto it = std::find_if_not(block.begin(), block.end(), [](T v) { return is_finite(v); });
    const float seen = value_of(*it);
    return corrupt(
        {.where = std::string(where),
         .what = "holds a value that is not finite",
         .seen = std::string(std::isnan(seen) ? "nan"
                             : seen > 0       ? "inf"
                                              : "-inf") +
                 " at element " +
                 std::to_string(first + start + static_cast<std::size_t>(it - block.begin())),
         .allowed = "finite numbers"});
  }
  return {};
}

}  // namespace

Status check_finite(std::span<const float> values, std::string_view where, std::uint64_t first) {
  return check_all_finite(values, where, first);
}

Status check_finite(std::span<const tensor::bf16> values, std::string_view where,
                    std::uint64_t first) {
  return check_all_finite(values, where, first);
}

}  // namespace belay::store
