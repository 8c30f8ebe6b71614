// Any bytes as a safetensors file, or, when they begin with '{', as the index of two good shards.
// What opens must be consistent: every tensor lies inside the file and can be read or says why not.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/env_wrapper.h"
#include "store/safetensors.h"

namespace {

using belay::base::Env;
using belay::base::EnvWrapper;
using belay::base::MappedFile;
using belay::base::Result;

constexpr std::string_view kIndex = "model.safetensors.index.json";

MappedFile mapped(std::string_view bytes) {
  std::vector<std::byte> buffer(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return MappedFile(std::move(buffer));
}

/// A file with one tensor of that name.
std::string good_shard(const std::string& name) {
  const std::string header =
      "{\"" + name + "\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + "\x80\x3f\x00\x40";
}

class FuzzEnv final : public EnvWrapper {
 public:
  explicit FuzzEnv(std::string_view data) : EnvWrapper(Env::posix()), data_(data) {}
  bool is_directory(const std::string&) override { return data_.starts_with('{'); }
  bool exists(const std::string& path) override { return path.ends_with(kIndex); }
  Result<std::string> read_file(const std::string&, std::uint64_t) override {
    return std::string(data_);
  }
  Result<MappedFile> map_file(const std::string& path) override {
    if (!data_.starts_with('{')) return mapped(data_);
    if (path == "f/a.safetensors") return mapped(good_shard("a"));
    if (path == "f/b.safetensors") return mapped(good_shard("b"));
    if (path.find('/') != 1 || path.rfind('/') != 1) std::abort();  // "f/NAME"
    return belay::base::not_found({.where = path});
  }

 private:
  std::string_view data_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzEnv env({reinterpret_cast<const char*>(data), size});
  const auto files = belay::store::TensorFiles::open(env, "f");
  if (!files.ok()) {
    if (files.status().message().empty() || files.status().detail().where.empty()) std::abort();
    return 0;
  }
  for (const auto& info : files->list()) {
    const auto bytes = files->bytes(info);
    if (!bytes.empty() && (bytes.size() > size && env.is_directory("") == false)) std::abort();
    if (files->find(info.name) != &info) std::abort();
    if (static_cast<std::uint64_t>(info.count) > 8 * bytes.size()) std::abort();
    std::vector<float> values(static_cast<std::size_t>(info.count));
    const auto status = files->read_f32(info.name, values);
    if (status.ok() && !info.type.dtype) std::abort();
    if (!status.ok() && info.type.dtype && !info.xxh3) std::abort();
    (void)belay::store::check_finite(values, files->where(info));
  }
  return 0;
}
