#include "store/gguf_writer.h"

#include <array>
#include <cstring>

#include "base/checked.h"

namespace belay::store {
namespace {

using base::Status;

template <class T>
void append(std::string& bytes, T value) {
  std::array<char, sizeof(T)> raw{};
  std::memcpy(raw.data(), &value, sizeof(T));
  bytes.append(raw.data(), raw.size());
}

std::uint64_t padding(std::uint64_t size) {
  return (kDefaultGgufAlignment - size % kDefaultGgufAlignment) % kDefaultGgufAlignment;
}

std::uint64_t stored_bytes(const GgufTensorToWrite& tensor) {
  const GgufType* type = find_gguf_type(tensor.type_id);
  const auto count = base::checked_product<std::int64_t>(tensor.dims);
  BELAY_CHECK(type != nullptr && count && !tensor.dims.empty() &&
                  tensor.dims.size() <= kMaxGgufDims &&
                  tensor.dims.front() % type->block_weights == 0,
              "type and dimensions of " + tensor.name);
  return static_cast<std::uint64_t>(*count / type->block_weights * type->block_bytes);
}

std::string compose_header(const GgufKeys& keys, std::span<const GgufTensorToWrite> tensors) {
  std::string header = "GGUF";
  append(header, std::uint32_t{3});
  append(header, static_cast<std::uint64_t>(tensors.size()));
  append(header, keys.count());
  header += keys.bytes();
  std::uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    BELAY_CHECK(tensor.name.size() <= kMaxGgufNameBytes, "a name too long for GGUF");
    append(header, static_cast<std::uint64_t>(tensor.name.size()));
    header += tensor.name;
    append(header, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::int64_t dim : tensor.dims) append(header, static_cast<std::uint64_t>(dim));
    append(header, tensor.type_id);
    append(header, offset);
    const std::uint64_t bytes = stored_bytes(tensor);
    offset += bytes + padding(bytes);
  }
  return header.append(padding(header.size()), '\0');
}

}  // namespace

template <class T>
void GgufKeys::put(T value) {
  append(bytes_, value);
}

void GgufKeys::put_string(std::string_view text) {
  put(static_cast<std::uint64_t>(text.size()));
  bytes_ += text;
}

void GgufKeys::begin(std::string_view key, GgufKind kind) {
  put_string(key);
  put(static_cast<std::uint32_t>(kind));
  ++count_;
}

void GgufKeys::begin_array(std::string_view key, GgufKind element, std::size_t count) {
  begin(key, GgufKind::kArray);
  put(static_cast<std::uint32_t>(element));
  put(static_cast<std::uint64_t>(count));
}

void GgufKeys::add_u32(std::string_view key, std::uint32_t value) {
  begin(key, GgufKind::kU32);
  put(value);
}

void GgufKeys::add_f32(std::string_view key, float value) {
  begin(key, GgufKind::kF32);
  put(value);
}

void GgufKeys::add_bool(std::string_view key, bool value) {
  begin(key, GgufKind::kBool);
  put(static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufKeys::add_string(std::string_view key, std::string_view value) {
  begin(key, GgufKind::kString);
  put_string(value);
}

void GgufKeys::add_strings(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufKind::kString, values.size());
  for (const std::string& value : values) put_string(value);
}

void GgufKeys::add_f32s(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufKind::kF32, values.size());
  for (const float value : values) put(value);
}

void GgufKeys::add_i32s(std::string_view key, std::span<const std::int32_t> values) {
  begin_array(key, GgufKind::kI32, values.size());
  for (const std::int32_t value : values) put(value);
}

Status write_gguf(base::Env& env, const std::string& path, const GgufKeys& keys,
                  std::span<const GgufTensorToWrite> tensors) {
  BELAY_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::open(env, path));
  BELAY_RETURN_IF_ERROR(file.write(compose_header(keys, tensors)));
  for (const GgufTensorToWrite& tensor : tensors) {
    std::uint64_t written = 0;
    BELAY_RETURN_IF_ERROR(tensor.data([&](std::span<const std::byte> bytes) {
      written += bytes.size();
      return file.write(bytes);
    }));
    BELAY_CHECK(written == stored_bytes(tensor), "the bytes of " + tensor.name);
    BELAY_RETURN_IF_ERROR(file.write(std::string(padding(written), '\0')));
  }
  return file.commit();
}

}  // namespace belay::store
