// Any bytes as a GGUF file. What opens must be consistent: every tensor lies inside the file, every
// key is read or says why not, what can be dequantized is; and the file is tried as a tokenizer and
// as a model.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/env_wrapper.h"
#include "model/gguf_model.h"
#include "ops/quant_blocks.h"
#include "store/gguf.h"
#include "text/tokenizer.h"

namespace {

using belay::base::Env;
using belay::base::EnvWrapper;
using belay::base::MappedFile;
using belay::base::Result;

class FuzzEnv final : public EnvWrapper {
 public:
  explicit FuzzEnv(std::string_view data) : EnvWrapper(Env::posix()), data_(data) {}
  bool is_directory(const std::string&) override { return false; }
  bool exists(const std::string&) override { return true; }
  Result<MappedFile> map_file(const std::string&) override {
    std::vector<std::byte> buffer(data_.size());
    if (!data_.empty()) std::memcpy(buffer.data(), data_.data(), data_.size());
    return MappedFile(std::move(buffer));
  }

 private:
  std::string_view data_;
};

void check_tensor(const belay::store::GgufFile& file, const belay::store::GgufTensor& tensor) {
  namespace ops = belay::ops;
  const auto bytes = file.bytes(tensor);
  if (file.find(tensor.name) != &tensor) std::abort();
  if (tensor.type == nullptr) return;
  const auto type = ops::block_type_of(tensor.type_id);
  if (!type) return;
  const auto blocks = static_cast<std::size_t>(tensor.count) / ops::block_weights(*type);
  if (blocks * ops::block_bytes(*type) != bytes.size()) std::abort();
  std::vector<float> values(static_cast<std::size_t>(tensor.count));
  ops::dequantize(*type, bytes, values);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzEnv env({reinterpret_cast<const char*>(data), size});
  const auto file = belay::store::GgufFile::open(env, "f.gguf");
  if (!file.ok()) {
    if (file.status().message().empty() || file.status().detail().where.empty()) std::abort();
    return 0;
  }
  for (const std::string_view key : file->keys()) {
    (void)file->require_int(key, INT64_MIN, INT64_MAX);
    (void)file->require_double(key, -1, 1);
    (void)file->optional_bool(key, false);
    (void)file->require_string(key);
    (void)file->ints(key, -1, 1 << 20, 1 << 20);
    (void)file->floats(key, 1 << 20);
    (void)file->strings(key, 1 << 20);
  }
  for (const auto& tensor : file->tensors()) check_tensor(*file, tensor);
  (void)belay::text::Tokenizer::load(env, "f.gguf");
  (void)belay::model::load_gguf_model(env, "f.gguf");
  return 0;
}
