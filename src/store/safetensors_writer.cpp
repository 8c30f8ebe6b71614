#include "store/safetensors_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.h"
#include "base/hash.h"
#include "store/safetensors_header.h"

namespace belay::store {
namespace {

using base::Status;
using tensor::DType;

std::uint64_t stored_bytes(const TensorToWrite& t) {
  return t.values.size() * static_cast<std::uint64_t>(tensor::dtype_bytes(t.dtype));
}

/// Calls sink(bytes) with the stored form, piece by piece, until it fails.
template <class Sink>
Status for_each_piece(const TensorToWrite& t, const Sink& sink) {
  if (t.dtype == DType::kF32) return sink(std::as_bytes(t.values));
  constexpr std::size_t kPiece = 32768;
  std::vector<tensor::bf16> piece(std::min(kPiece, t.values.size()));
  for (std::size_t start = 0; start < t.values.size(); start += kPiece) {
    const auto values = t.values.subspan(start, std::min(kPiece, t.values.size() - start));
    std::transform(values.begin(), values.end(), piece.begin(), tensor::to_bf16);
    BELAY_RETURN_IF_ERROR(sink(std::as_bytes(std::span(piece).first(values.size()))));
  }
  return {};
}

void check_arguments(std::span<const TensorToWrite> tensors,
                     const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  for (const TensorToWrite& t : tensors) {
    BELAY_CHECK(t.dtype == DType::kF32 || t.dtype == DType::kBF16, "only F32 and BF16 are written");
    const auto count = base::checked_product<std::int64_t>(t.shape);
    BELAY_CHECK(count && static_cast<std::uint64_t>(*count) == t.values.size(),
                "shape and values of " + t.name + " disagree");
    BELAY_CHECK(t.shape.size() <= kMaxDims, t.name + " has too many dimensions");
    BELAY_CHECK(t.name != "__metadata__" && names.insert(t.name).second,
                t.name + " is taken or reserved");
  }
  for (const auto& [key, value] : metadata) {
    BELAY_CHECK(!key.starts_with(kChecksumPrefix), "the key " + key + " is reserved");
  }
}

/// Length and JSON, padded so that the data begins at a multiple of 8.
std::string compose_header(std::span<const TensorToWrite* const> tensors,
                           const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json meta = nlohmann::ordered_json::object();
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata) meta[key] = value;
  std::uint64_t offset = 0;
  for (const TensorToWrite* t : tensors) {
    base::Xxh3 hash;
    (void)for_each_piece(*t, [&](std::span<const std::byte> bytes) {
      hash.update(bytes);
      return Status();
    });
    meta[std::string(kChecksumPrefix) + t->name] = base::hex64(hash.digest());
    entries[t->name] = {{"dtype", t->dtype == DType::kF32 ? "F32" : "BF16"},
                        {"shape", t->shape},
                        {"data_offsets", {offset, offset + stored_bytes(*t)}}};
    offset += stored_bytes(*t);
  }
  nlohmann::ordered_json header = {{"__metadata__", std::move(meta)}};
  header.update(entries);
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::array<char, 8> prefix{};
  std::memcpy(prefix.data(), &length, prefix.size());
  return text.insert(0, prefix.data(), prefix.size());
}

}  // namespace

base::Result<StagedSafetensors> stage_safetensors(
    base::Env& env, const std::string& path, std::span<const TensorToWrite> tensors,
    const std::map<std::string, std::string>& metadata) {
  check_arguments(tensors, metadata);
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& t : tensors) order.push_back(&t);
  std::stable_partition(order.begin(), order.end(),
                        [](const TensorToWrite* t) { return t->dtype == DType::kF32; });
  BELAY_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::open(env, path));
  const std::string header = compose_header(order, metadata);
  BELAY_RETURN_IF_ERROR(file.write(header));
  for (const TensorToWrite* t : order) {
    BELAY_RETURN_IF_ERROR(
        for_each_piece(*t, [&](std::span<const std::byte> bytes) { return file.write(bytes); }));
  }
  return StagedSafetensors{std::move(file), base::xxh3_64(std::as_bytes(std::span(header)))};
}

Status write_safetensors(base::Env& env, const std::string& path,
                         std::span<const TensorToWrite> tensors,
                         const std::map<std::string, std::string>& metadata) {
  BELAY_ASSIGN_OR_RETURN(StagedSafetensors staged, stage_safetensors(env, path, tensors, metadata));
  return staged.file.commit();
}

}  // namespace belay::store
