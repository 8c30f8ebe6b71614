#include "store/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "fault_env.h"
#include "store/safetensors_writer.h"

namespace belay::store {
namespace {

using base::Code;
using base::Env;
using belay::test::BytesEnv;
using belay::test::FaultEnv;
using belay::test::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A file of a header and n zero bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\0');
}

void put(const std::string& path, const std::string& content) {
  ASSERT_TRUE(base::write_file_atomic(Env::posix(), path, content).ok());
}

/// The message of opening a file of that content, or "ok".
std::string tensors_fault(const std::string& content) {
  BytesEnv env(content);
  const auto files = TensorFiles::open(env, "w.safetensors");
  return files.ok() ? "ok" : files.status().message();
}

struct HostileTensors {
  std::string header;
  std::size_t data_bytes;
  std::string where;  // the message names the file and this
  std::string what;
};

const std::string kX = "tensor 'x': ";
const HostileTensors kHostile[] = {
    {R"([])", 0, "header", "does not begin with {"},
    {R"({"x":1})", 0, "tensor 'x'", "is not an object"},
    {R"({"x":[]})", 0, "tensor 'x'", "is not an object"},
    {R"({"x":{}})", 0, kX + "dtype", "is missing"},
    {R"({"x":{"dtype":"F32","shape":[1]}})", 4, kX + "data_offsets", "is missing"},
    {R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", 4, kX + "shape", "is missing"},
    {R"({"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, kX + "dtype", "not a string"},
    {R"({"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4, kX + "dtype", "seen 'F33'"},
    {R"({"x":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})", 4, kX + "shape", "not an array"},
    {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, kX + "shape", "seen -1"},
    {R"({"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, kX + "shape", "1.0"},
    {R"({"x":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}})", 4, kX + "shape", "1e0"},
    {R"({"x":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, kX + "shape", "'1'"},
    {R"({"x":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4, kX + "shape", "an array"},
    {R"({"x":{"dtype":"F32","shape":[null],"data_offsets":[0,4]}})", 4, kX + "shape", "null"},
    {R"({"x":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}})", 4, kX + "shape", "truth"},
    {R"({"x":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
     kX + "shape", "18446744073709551615"},
    {R"({"x":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4,
     kX + "shape", "99999999999999999999"},
    {R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
     kX + "shape", "too large"},
    {R"({"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, kX + "shape",
     "too large"},
    {R"({"x":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,0],)"
     R"("data_offsets":[0,0]}})",
     0, kX + "shape", "too large"},
    {R"({"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4, kX + "shape",
     "too many dimensions"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, kX + "data_offsets",
     "ends before it begins"},
    {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, kX + "data_offsets",
     "reaches outside the file (seen [0, 8]; allowed at most 4)"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", 4,
     kX + "data_offsets", "outside the file"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, kX + "data_offsets", "-4"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}})", 4, kX + "data_offsets", "4.0"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, kX + "data_offsets", "two"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4, kX + "data_offsets", "two"},
    {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, kX + "data_offsets",
     "does not fit dtype and shape (seen 4 bytes; allowed 8 bytes"},
    {R"({"x":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, kX + "data_offsets", "fit"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, kX + "data_offsets", "gap"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "", "after the last tensor"},
    {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
     R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, kX + "data_offsets", "overlaps"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
     R"("x":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
     12, kX + "data_offsets", "gap"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
     R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, "", "names 'x' twice"},
    {R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "tensor 'x'",
     "has the key 'dtype' twice"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"device":"cpu"}})", 4, "tensor 'x'",
     "has an unknown field (seen 'device'"},
    {R"({"__metadata__":{"a":1}})", 0, "__metadata__: 'a'", "not a string"},
    {R"({"__metadata__":{"a":{}}})", 0, "__metadata__: 'a'", "not a string"},
    {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "__metadata__", "has the key 'a' twice"},
    {R"({"__metadata__":[]})", 0, "__metadata__", "is not an object"},
    {R"({"__metadata__":{},"__metadata__":{}})", 0, "", "names '__metadata__' twice"},
    {R"({"__metadata__":{"xxh3:y":"0123456789abcdef"}})", 0, "__metadata__: 'xxh3:y'",
     "not in the file"},
    {R"({"__metadata__":{"xxh3:x":"0123"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, "__metadata__: 'xxh3:x'", "not a checksum"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} {})", 4, "", "not valid JSON"},
    {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 4, "", "not valid JSON"},
    {"{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "",
     "not valid JSON"},
    {R"({"\u001b[2J":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "tensor '\\x1b[2J'",
     "-1"},
    {"{" + std::string(100'000, '['), 0, "", "not valid JSON"},
    {"{\"x\":" + std::string(100'000, '['), 0, "tensor 'x'", "is not an object"},
};

TEST(SafetensorsReader, HostileHeadersAreRefusedByFileAndField) {
  for (const HostileTensors& row : kHostile) {
    EXPECT_THAT(tensors_fault(file_of(row.header, row.data_bytes)),
                AllOf(HasSubstr("w.safetensors: " + row.where), HasSubstr(row.what)))
        << row.header.substr(0, 200);
  }
}

TEST(SafetensorsReader, HostileLengthsAreRefused) {
  const auto with_length = [](std::uint64_t length, const std::string& rest) {
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    return file + rest;
  };
  EXPECT_THAT(tensors_fault(""), HasSubstr("w.safetensors: header: the file is too short"));
  EXPECT_THAT(tensors_fault("1234567"), HasSubstr("too short"));
  EXPECT_THAT(tensors_fault(with_length(0, "{}")), HasSubstr("length is out of range (seen 0"));
  EXPECT_THAT(tensors_fault(with_length(1, "{}")), HasSubstr("length is out of range"));
  EXPECT_THAT(tensors_fault(with_length(3, "{}")), HasSubstr("seen 3; allowed 2 to 2"));
  EXPECT_THAT(tensors_fault(with_length(UINT64_MAX, "{}")), HasSubstr("length is out of range"));
  EXPECT_THAT(tensors_fault(with_length(UINT64_MAX - 7, "{}")),
              HasSubstr("length is out of range"));
  EXPECT_EQ(tensors_fault(with_length(2, "{}")), "ok");
  EXPECT_EQ(tensors_fault(with_length(8, "{}      ")), "ok");
}

TEST(SafetensorsReader, TooManyTensorsAreRefused) {
  std::string header = "{";
  for (std::size_t i = 0; i <= kMaxTensors; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_THAT(tensors_fault(file_of(header + "}", 0)), HasSubstr("names too many tensors"));
}

TEST(SafetensorsReader, EveryTruncationIsRefused) {
  const std::string whole = file_of(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  ASSERT_EQ(tensors_fault(whole), "ok");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_THAT(tensors_fault(whole.substr(0, n)), HasSubstr("w.safetensors")) << n;
  }
}

TEST(SafetensorsReader, TakesScalarsEmptyTensorsAndUnalignedData) {
  const TempDir dir;
  const std::string path = dir.file("w.safetensors");
  std::string content = file_of(
      R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},)"
      R"("h":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},"i":{"dtype":"I64","shape":[1],)"
      R"("data_offsets":[8,16]}} )",
      16);
  const float value = 1.5f;
  std::memcpy(content.data() + content.size() - 16, &value, 4);
  content[content.size() - 11] = 0x3c;  // F16 1.0
  content[content.size() - 10] = 0x01;  // F16 2^-24
  put(path, content);
  const auto files = TensorFiles::open(Env::posix(), path);
  ASSERT_TRUE(files.ok()) << files.status().message();
  float scalar = 0;
  ASSERT_TRUE(files->read_f32("s", {&scalar, 1}).ok());
  EXPECT_EQ(scalar, 1.5f);
  ASSERT_TRUE(files->read_f32("e", {}).ok());
  std::vector<float> halves(2);
  ASSERT_TRUE(files->read_f32("h", halves).ok());
  EXPECT_THAT(halves, ElementsAre(1.0f, 0x1p-24f));
  EXPECT_THAT(files->read_f32("h", {&scalar, 1}).message(), HasSubstr("tensor 'h'"));
  EXPECT_THAT(files->read_f32("i", {&scalar, 1}).message(),
              AllOf(HasSubstr("tensor 'i': dtype"), HasSubstr("I64")));
  EXPECT_THAT(files->read_f32("none", {&scalar, 1}).message(), HasSubstr("no tensor 'none'"));
}

const std::vector<float> kA = {1.0f, -2.5f, 3.14159265f, 0x1p-140f, 65504.0f, -0.0f};
const std::vector<float> kB = {0.1f, 0.2f};

std::vector<TensorToWrite> two_tensors() {
  return {{"b", tensor::DType::kBF16, {2}, kB}, {"a", tensor::DType::kF32, {2, 3}, kA}};
}

TEST(SafetensorsWriter, RoundTripsBits) {
  const TempDir dir;
  const std::string path = dir.file("w.safetensors");
  ASSERT_TRUE(write_safetensors(Env::posix(), path, two_tensors(), {{"format", "pt"}}).ok());
  const auto files = TensorFiles::open(Env::posix(), path);
  ASSERT_TRUE(files.ok()) << files.status().message();
  EXPECT_EQ(files->metadata().at("format"), "pt");
  ASSERT_EQ(files->list().size(), 2u);
  EXPECT_TRUE(files->list()[0].xxh3 && files->list()[1].xxh3);
  EXPECT_THAT(files->find("a")->shape, ElementsAre(2, 3));
  std::vector<float> a(6), b(2);
  ASSERT_TRUE(files->read_f32("a", a).ok());
  ASSERT_TRUE(files->read_f32("b", b).ok());
  EXPECT_EQ(std::memcmp(a.data(), kA.data(), 24), 0);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(b[i], tensor::to_float(tensor::to_bf16(kB[i])));
  }
}

TEST(SafetensorsWriter, AFlippedBitNamesItsTensor) {
  const TempDir dir;
  const std::string path = dir.file("w.safetensors");
  ASSERT_TRUE(write_safetensors(Env::posix(), path, two_tensors()).ok());
  const std::string good = *Env::posix().read_file(path, 1 << 20);
  for (std::size_t bit = 0; bit < 8 * 28; ++bit) {  // data: a (24 bytes), then b (4)
    std::string bad = good;
    const std::size_t at = good.size() - 28 + bit / 8;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (bit % 8)));
    BytesEnv env(bad);
    const auto files = TensorFiles::open(env, path);
    ASSERT_TRUE(files.ok());
    std::vector<float> a(6), b(2);
    const bool in_a = bit < 8 * 24;
    EXPECT_EQ(files->read_f32("a", a).ok(), !in_a);
    EXPECT_EQ(files->read_f32("b", b).ok(), in_a);
    const auto status = in_a ? files->read_f32("a", a) : files->read_f32("b", b);
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(path), HasSubstr(in_a ? "'a'" : "'b'"), HasSubstr("checksum")));
  }
}

// A flipped bit of the header is refused, or hits what carries no meaning for the tensors' values.
TEST(SafetensorsWriter, AFlippedHeaderBitNeverChangesValues) {
  const TempDir dir;
  const std::string path = dir.file("w.safetensors");
  ASSERT_TRUE(write_safetensors(Env::posix(), path, two_tensors()).ok());
  const std::string good = *Env::posix().read_file(path, 1 << 20);
  for (std::size_t bit = 0; bit < 8 * (good.size() - 28); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    BytesEnv env(bad);
    const auto files = TensorFiles::open(env, path);
    if (!files.ok()) continue;
    std::vector<float> a(6);
    if (files->find("a") == nullptr || !files->read_f32("a", a).ok()) continue;
    EXPECT_EQ(std::memcmp(a.data(), kA.data(), 24), 0) << bit;
  }
}

TEST(SafetensorsWriter, DataIsAligned) {
  const TempDir dir;
  const std::string path = dir.file("w.safetensors");
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde"}) {
    const std::vector<TensorToWrite> tensors = {{name, tensor::DType::kF32, {2, 3}, kA}};
    ASSERT_TRUE(write_safetensors(Env::posix(), path, tensors).ok());
    EXPECT_EQ(*Env::posix().file_size(path) % 8, 0u);
  }
}

TEST(SafetensorsWriter, AFaultLeavesTheOldFile) {
  bool done = false;
  for (std::int64_t n = 0; !done; ++n) {
    ASSERT_LT(n, 100);
    const TempDir dir;
    FaultEnv env;
    const std::string path = dir.file("w.safetensors");
    ASSERT_TRUE(write_safetensors(env, path, two_tensors(), {{"v", "old"}}).ok());
    env.fail_from = env.changes + n;
    done = write_safetensors(env, path, two_tensors(), {{"v", "new"}}).ok();
    const auto files = TensorFiles::open(Env::posix(), path);
    ASSERT_TRUE(files.ok()) << files.status().message();
    EXPECT_TRUE(files->metadata().at("v") == "new" || !done);
  }
}

class ShardedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto tensors = two_tensors();
    ASSERT_TRUE(
        write_safetensors(Env::posix(), dir_.file("m-1.safetensors"), {&tensors[0], 1}).ok());
    ASSERT_TRUE(
        write_safetensors(Env::posix(), dir_.file("m-2.safetensors"), {&tensors[1], 1}).ok());
  }
  std::string open_with(const std::string& index) {
    put(dir_.file("model.safetensors.index.json"), index);
    const auto files = TensorFiles::open(Env::posix(), dir_.path());
    return files.ok() ? "ok" : files.status().message();
  }
  TempDir dir_;
};

TEST_F(ShardedFolder, Opens) {
  ASSERT_EQ(open_with(R"({"metadata":{"total_size":28},
                          "weight_map":{"b":"m-1.safetensors","a":"m-2.safetensors"}})"),
            "ok");
  const auto files = TensorFiles::open(Env::posix(), dir_.path());
  std::vector<float> a(6);
  ASSERT_TRUE(files->read_f32("a", a).ok());
  EXPECT_EQ(a[1], -2.5f);
}

TEST_F(ShardedFolder, HostileIndexesAreRefused) {
  const std::pair<std::string, std::string> kTable[] = {
      {R"([])", "is not a JSON object"},
      {R"({})", "weight_map: is missing"},
      {R"({"weight_map":[]})", "weight_map: is not a JSON object"},
      {R"({"weight_map":{"a":1}})", "weight_map: 'a': does not name a file of this folder"},
      {R"({"weight_map":{"a":"../m-2.safetensors"}})", "'../m-2.safetensors'"},
      {R"({"weight_map":{"a":"/etc/x.safetensors"}})", "plain file name"},
      {R"({"weight_map":{"a":"sub\\m.safetensors"}})", "plain file name"},
      {R"({"weight_map":{"a":"m-2.safetensors\u0000/x.safetensors"}})", "plain file name"},
      {R"({"weight_map":{"a":"config.json"}})", "ends in .safetensors"},
      {R"({"weight_map":{"a":"gone.safetensors"}})", "gone.safetensors: cannot open"},
      {R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})",
       "not where the index says"},
      {R"({"weight_map":{"a":"m-2.safetensors","b":"m-2.safetensors"}})",
       "m-2.safetensors: lacks tensor 'b'"},
      {R"({"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-1.safetensors"}})",
       "m-1.safetensors: lacks tensor 'c'"},
      {R"({"weight_map":{"a":"m-2.safetensors","a":"m-1.safetensors"}})", "has the key 'a' twice"},
  };
  for (const auto& [index, message] : kTable) {
    EXPECT_THAT(open_with(index), AllOf(HasSubstr(dir_.path()), HasSubstr(message))) << index;
  }
}

TEST_F(ShardedFolder, AFolderWithoutWeightsSaysSo) {
  const TempDir empty;
  EXPECT_THAT(TensorFiles::open(Env::posix(), empty.path()).status().message(),
              AllOf(HasSubstr(empty.path()), HasSubstr("has no weights")));
}

TEST(CheckFinite, NamesTheFirstElement) {
  std::vector<float> values(10'000, 1.0f);
  values[7] = std::numeric_limits<float>::max();
  EXPECT_TRUE(check_finite(values, "f: tensor 'x'").ok());
  values[9'000] = -INFINITY;
  EXPECT_THAT(check_finite(values, "f: tensor 'x'").message(),
              AllOf(HasSubstr("f: tensor 'x'"), HasSubstr("-inf at element 9000")));
  values[4'999] = std::bit_cast<float>(0xffc00001u);
  EXPECT_THAT(check_finite(values, "w").message(), HasSubstr("nan at element 4999"));
}

}  // namespace
}  // namespace belay::store
