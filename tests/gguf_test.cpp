#include "store/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/rng.h"
#include "fault_env.h"
#include "gguf_bytes.h"
#include "ops/quant_blocks.h"
#include "tensor/dtype.h"

namespace belay::store {
namespace {

using base::Code;
using belay::test::BytesEnv;
using belay::test::gguf_array;
using belay::test::gguf_head;
using belay::test::gguf_key;
using belay::test::gguf_string;
using belay::test::gguf_tensor;
using belay::test::gguf_with_data;
using belay::test::raw;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;

std::string open_fault(const std::string& content) {
  BytesEnv env(content);
  const auto file = GgufFile::open(env, "w.gguf");
  return file.ok() ? "ok" : file.status().message();
}

std::string u32_key(std::string_view key, std::uint32_t value) {
  return gguf_key(key, GgufKind::kU32, raw(value));
}

std::string one_tensor(std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                       std::uint64_t offset, std::size_t data_bytes) {
  return gguf_with_data(gguf_head(1, 0) + gguf_tensor("x", dims, type, offset), data_bytes);
}

std::string one_key(GgufKind kind, const std::string& value) {
  return gguf_head(0, 1) + gguf_key("k", kind, value);
}

struct Hostile {
  const char* kind;  // of attack
  std::string content;
  std::string where, what;
};

// The kinds are those of the advisories that loaders of this format have had.
std::vector<Hostile> hostile_keys() {
  return {
      {"no file", "", "magic", "seen ''"},
      {"another file", "GGML" + std::string(28, '\0'), "magic", "seen 'GGML'"},
      {"version 1", gguf_head(0, 0, 1), "version", "allowed 2, 3"},
      {"version 4", gguf_head(0, 0, 4), "version", "seen 4"},
      {"big-endian", gguf_head(0, 0, 0x03000000), "version", "big-endian"},
      {"cut in the counts", gguf_head(0, 0).substr(0, 20), "number of keys", "does not fit"},
      {"a count that asks for gigabytes", gguf_head(1 << 30, 0), "number of tensors",
       "more than the file can hold"},
      {"a negative count", gguf_head(~std::uint64_t{0}, 0), "number of tensors",
       "seen 18446744073709551615"},
      {"a count times a size that wraps", gguf_head(std::uint64_t{1} << 59, 0), "number of tensors",
       "more than"},
      {"many keys", gguf_head(0, std::uint64_t{1} << 32), "number of keys", "more than"},
      {"a length that wraps with its offset",
       gguf_head(0, 1) + raw<std::uint64_t>(~std::uint64_t{0}) + std::string(16, 'a'),
       "key number 0", "a length of 18446744073709551615"},
      {"a length plus one that is zero",
       one_key(GgufKind::kString, raw<std::uint64_t>(~std::uint64_t{0})), "key 'k'",
       "does not fit"},
      {"a string that is cut", one_key(GgufKind::kString, raw<std::uint64_t>(5) + "abcd"),
       "key 'k'", "a length of 5 bytes"},
      {"a key without name", gguf_head(0, 1) + gguf_key("", GgufKind::kU8, "x"), "key number 0",
       "is empty"},
      {"a key that is too long",
       gguf_head(0, 1) + gguf_key(std::string(65536, 'k'), GgufKind::kU8, "x"), "key number 0",
       "too long"},
      {"a key twice", gguf_head(0, 2) + u32_key("k", 1) + u32_key("k", 2), "key 'k'", "twice"},
      {"an unknown kind", one_key(static_cast<GgufKind>(13), "12345678"), "key 'k'", "seen 13"},
      {"a kind that is negative", one_key(static_cast<GgufKind>(0xFFFFFFFF), "12345678"), "key 'k'",
       "seen 4294967295"},
      {"a truth value of 2", one_key(GgufKind::kBool, "\x02"), "key 'k'", "seen 2"},
      {"a value that is cut", one_key(GgufKind::kU64, "1234567"), "key 'k'", "more than the file"},
      {"an array of more than there is",
       one_key(GgufKind::kArray, gguf_array(GgufKind::kU8, 5, "abcd")), "key 'k'", "at most 4"},
      {"an array whose bytes wrap",
       one_key(GgufKind::kArray,
               gguf_array(GgufKind::kF64, (std::uint64_t{1} << 61) + 1, "12345678")),
       "key 'k'", "seen 2305843009213693953"},
      {"strings whose bytes wrap",
       one_key(GgufKind::kArray, gguf_array(GgufKind::kString, kHuge, "")), "key 'k'", "at most 0"},
      {"a string in an array that lies",
       one_key(GgufKind::kArray, gguf_array(GgufKind::kString, 1, raw<std::uint64_t>(1) + "")),
       "key 'k'", "does not fit"},
  };
}

std::vector<Hostile> hostile_alignments() {
  const std::string deep = [] {
    std::string nest;
    for (int i = 0; i < 1000; ++i) nest += gguf_array(GgufKind::kArray, 1, "");
    return nest + gguf_array(GgufKind::kU8, 1, "x");
  }();
  return {
      {"deep nesting", one_key(GgufKind::kArray, deep), "key 'k'", "array of arrays"},
      {"alignment 0", gguf_head(0, 1) + u32_key("general.alignment", 0), "'general.alignment'",
       "seen 0"},
      {"alignment 48", gguf_head(0, 1) + u32_key("general.alignment", 48), "'general.alignment'",
       "power of two"},
      {"alignment 2^31", gguf_head(0, 1) + u32_key("general.alignment", 1u << 31),
       "'general.alignment'", "seen 2147483648"},
      {"an alignment that is text",
       gguf_head(0, 1) + gguf_key("general.alignment", GgufKind::kString, gguf_string("32")),
       "'general.alignment'", "seen string"},
  };
}

std::vector<Hostile> hostile_tensors() {
  return {
      {"five dimensions", one_tensor({1, 1, 1, 1, 1}, 0, 0, 4), "'x': dimensions", "seen 5"},
      {"many dimensions",
       gguf_head(1, 0) + gguf_string("x") + raw<std::uint32_t>(0xFFFFFFFF) + std::string(32, '\0'),
       "'x': dimensions", "seen 4294967295"},
      {"a dimension of 0", one_tensor({4, 0}, 0, 0, 4), "'x': dimension 1", "seen 0"},
      {"a negative dimension", one_tensor({~std::uint64_t{0}}, 0, 0, 4), "'x': dimension 0",
       "out of range"},
      {"dimensions whose product wraps",
       one_tensor({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0, 0, 4), "'x': dimensions",
       "too large"},
      {"dimensions whose product wraps to little",
       one_tensor({std::uint64_t{1} << 33, std::uint64_t{1} << 31, 1}, 0, 0, 4), "'x': dimensions",
       "too large"},
      {"bytes that wrap", one_tensor({std::uint64_t{1} << 62}, 0, 0, 4), "'x': offset",
       "sum that is too large"},
      {"a small file that asks for gigabytes", one_tensor({std::uint64_t{1} << 34}, 0, 0, 4),
       "'x': data", "outside the file"},
      {"a row of half a block", one_tensor({48}, 8, 0, 68), "'x': dimension 0", "multiple of 32"},
      {"a scalar of blocks", one_tensor({}, 2, 0, 18), "'x': dimension 0", "seen 1"},
  };
}

std::vector<Hostile> hostile_places() {
  return {
      {"an offset that is not aligned", one_tensor({1}, 0, 4, 8), "'x': offset", "not aligned"},
      {"an offset beyond the file", one_tensor({1}, 0, 64, 36), "'x': data", "seen [64, 68]"},
      {"an offset whose end wraps", one_tensor({8}, 0, ~std::uint64_t{0} - 31, 32), "'x': offset",
       "too large"},
      {"an unknown type beyond the file", one_tensor({8}, 99, 4096, 32), "'x': data", "outside"},
      {"a type narrowed to 8 bits", one_tensor({8}, 256, 4096, 32), "'x': data", "outside"},
      {"data that is cut", one_tensor({8}, 0, 0, 31), "'x': data", "at most 31"},
      {"a header that is cut", one_tensor({8}, 0, 0, 32).substr(0, 50), "tensor 'x'",
       "does not fit"},
      {"a tensor without name", gguf_head(1, 0) + gguf_tensor("", {1}, 0, 0), "tensor number 0",
       "no name"},
      {"a long name", gguf_head(1, 0) + gguf_tensor(std::string(65, 'n'), {1}, 0, 0),
       "tensor number 0", "too long"},
      {"a tensor twice",
       gguf_with_data(gguf_head(2, 0) + gguf_tensor("x", {1}, 0, 0) + gguf_tensor("x", {1}, 0, 32),
                      64),
       "tensor 'x'", "twice"},
      {"tensors that overlap",
       gguf_with_data(gguf_head(2, 0) + gguf_tensor("w", {16}, 0, 0) + gguf_tensor("x", {1}, 0, 32),
                      64),
       "tensor 'x': data", "overlaps"},
      {"an offset aligned to less than the file asks",
       gguf_with_data(
           gguf_head(1, 1) + u32_key("general.alignment", 64) + gguf_tensor("x", {1}, 0, 32), 64,
           64),
       "'x': offset", "multiple of 64"},
  };
}

TEST(Gguf, RefusesHostileFiles) {
  for (const auto& files :
       {hostile_keys(), hostile_alignments(), hostile_tensors(), hostile_places()}) {
    for (const Hostile& h : files)
      EXPECT_THAT(open_fault(h.content),
                  AllOf(HasSubstr("w.gguf: "), HasSubstr(h.where), HasSubstr(h.what)))
          << h.kind;
  }
}

TEST(Gguf, EveryCutFails) {
  const std::string whole = gguf_with_data(
      gguf_head(1, 2) + u32_key("a", 7) +
          gguf_key("b", GgufKind::kArray,
                   gguf_array(GgufKind::kString, 2, gguf_string("p") + gguf_string("q"))) +
          gguf_tensor("x", {32, 2}, 8, 0),
      68);
  ASSERT_EQ(open_fault(whole), "ok");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(open_fault(whole.substr(0, size)), "ok") << size;
  }
}

std::string every_kind() {
  std::string content = gguf_head(0, 15, 2);
  content += gguf_key("u8", GgufKind::kU8, raw<std::uint8_t>(200));
  content += gguf_key("i8", GgufKind::kI8, raw<std::int8_t>(-100));
  content += gguf_key("u16", GgufKind::kU16, raw<std::uint16_t>(60000));
  content += gguf_key("i16", GgufKind::kI16, raw<std::int16_t>(-30000));
  content += gguf_key("u32", GgufKind::kU32, raw<std::uint32_t>(4000000000));
  content += gguf_key("i32", GgufKind::kI32, raw<std::int32_t>(-2000000000));
  content += gguf_key("f32", GgufKind::kF32, raw(1.5f));
  content += gguf_key("bool", GgufKind::kBool, raw<std::uint8_t>(1));
  content += gguf_key("string", GgufKind::kString, gguf_string("a\nb"));
  content += gguf_key("u64", GgufKind::kU64, raw<std::uint64_t>(kHuge - 1));
  content += gguf_key("i64", GgufKind::kI64, raw<std::int64_t>(INT64_MIN));
  content += gguf_key("f64", GgufKind::kF64, raw(0.1));
  content += gguf_key("wide", GgufKind::kU64, raw<std::uint64_t>(kHuge));
  content += gguf_key("shorts", GgufKind::kArray,
                      gguf_array(GgufKind::kI16, 2, raw<std::int16_t>(-2) + raw<std::int16_t>(9)));
  content += gguf_key("floats", GgufKind::kArray, gguf_array(GgufKind::kF32, 1, raw(2.5f)));
  return content;
}

TEST(Gguf, ReadsEveryKindOfValue) {
  const std::string content = every_kind();
  BytesEnv env(content);
  const auto file = GgufFile::open(env, "w.gguf");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->version(), 2u);
  EXPECT_EQ(file->keys().size(), 15u);
  const auto whole = [&](std::string_view key) {
    return file->require_int(key, INT64_MIN, INT64_MAX).value();
  };
  EXPECT_EQ(whole("u8"), 200);
  EXPECT_EQ(whole("i8"), -100);
  EXPECT_EQ(whole("u16"), 60000);
  EXPECT_EQ(whole("i16"), -30000);
  EXPECT_EQ(whole("u32"), 4000000000);
  EXPECT_EQ(whole("i32"), -2000000000);
  EXPECT_EQ(whole("u64"), INT64_MAX);
  EXPECT_EQ(whole("i64"), INT64_MIN);
  EXPECT_EQ(file->require_double("f32", 0, 2).value(), 1.5);
  EXPECT_EQ(file->require_double("f64", 0, 2).value(), 0.1);
  EXPECT_EQ(file->optional_bool("bool", false).value(), true);
  EXPECT_EQ(file->require_string("string").value(), "a\nb");
  EXPECT_THAT(file->ints("shorts", -2, 9, 2).value(), ElementsAre(-2, 9));
  EXPECT_THAT(file->floats("floats", 1).value(), ElementsAre(2.5f));
  EXPECT_EQ(file->optional_int("none", 0, 1, -1).value(), -1);

  const auto message = [](const auto& result) { return result.status().message(); };
  EXPECT_EQ(message(file->require_int("wide", 0, INT64_MAX)),
            "w.gguf: key 'wide': is out of range (seen 9223372036854775808; allowed 0 to "
            "9223372036854775807)");
  EXPECT_EQ(message(file->require_int("i8", 0, 9)),
            "w.gguf: key 'i8': is out of range (seen -100; allowed 0 to 9)");
  EXPECT_EQ(message(file->require_int("none", 0, 9)), "w.gguf: key 'none': is missing");
  EXPECT_EQ(message(file->require_int("f32", 0, 9)),
            "w.gguf: key 'f32': is not a whole number (seen 1.5)");
  EXPECT_EQ(message(file->require_double("u8", 0, 9)),
            "w.gguf: key 'u8': is not a real number (seen 200; allowed f32, f64)");
  EXPECT_EQ(message(file->require_string("shorts")),
            "w.gguf: key 'shorts': is not a string (seen an array of 2 i16)");
  EXPECT_EQ(
      message(file->ints("shorts", 0, 9, 2)),
      "w.gguf: key 'shorts': has element 0 out of range, -2 (seen an array of 2 i16; allowed 0 "
      "to 9)");
  EXPECT_EQ(message(file->ints("shorts", -9, 9, 1)),
            "w.gguf: key 'shorts': is too long (seen an array of 2 i16; allowed at most 1)");
  EXPECT_EQ(message(file->strings("shorts", 2)),
            "w.gguf: key 'shorts': does not hold strings (seen an array of 2 i16)");
  EXPECT_EQ(message(file->floats("bool", 2)), "w.gguf: key 'bool': is not an array (seen true)");
}

TEST(Gguf, FindsTensorsOfKnownAndUnknownTypes) {
  std::string content =
      gguf_with_data(gguf_head(3, 0) + gguf_tensor("b", {32, 2}, 8, 0) +
                         gguf_tensor("a", {}, 0, 96) + gguf_tensor("odd", {7, 3}, 77, 128),
                     128);
  content[content.size() - 128 + 96 + 3] = '\x40';  // 2.0f
  BytesEnv env(content);
  const auto file = GgufFile::open(env, "w.gguf");
  ASSERT_TRUE(file.ok()) << file.status().message();
  const GgufTensor* b = file->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_THAT(b->dims, ElementsAre(32, 2));
  EXPECT_EQ(b->type->name, "Q8_0");
  EXPECT_EQ(file->bytes(*b).size(), 68u);
  float two = 0;
  std::memcpy(&two, file->bytes(*file->find("a")).data(), 4);
  EXPECT_EQ(two, 2.0f);
  EXPECT_EQ(file->find("odd")->type, nullptr);
  EXPECT_TRUE(file->bytes(*file->find("odd")).empty());
  EXPECT_EQ(file->find("c"), nullptr);
}

// --- the blocks that tensors are made of

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

TEST(QuantBlocks, AreThoseOfTheOracle) {
  std::ifstream in(std::string(BELAY_TEST_DATA) + "/quant_blocks.json");
  const auto golden = nlohmann::json::parse(in);
  for (const auto& [name, type] :
       {std::pair{"Q8_0", ops::BlockType::kQ8_0}, std::pair{"Q4_0", ops::BlockType::kQ4_0},
        std::pair{"Q4_K", ops::BlockType::kQ4_K}, std::pair{"Q6_K", ops::BlockType::kQ6_K}}) {
    const auto& g = golden.at(name);
    const std::string blocks = bytes_of_hex(g.at("blocks"));
    const auto expected = g.at("values").get<std::vector<std::uint32_t>>();
    std::vector<float> values(expected.size());
    ASSERT_EQ(blocks.size(), values.size() / ops::block_weights(type) * ops::block_bytes(type));
    ops::dequantize(type, std::as_bytes(std::span(blocks)), values);
    EXPECT_EQ(bits_of(values), expected) << name;
    if (!g.contains("weights")) continue;
    std::vector<float> weights;
    for (const std::uint32_t bits : g.at("weights")) weights.push_back(std::bit_cast<float>(bits));
    std::string made(weights.size() / 32 * ops::block_bytes(type), '\0');
    ops::quantize(type, weights, std::as_writable_bytes(std::span(made)));
    EXPECT_EQ(made, bytes_of_hex(g.at("quantized"))) << name;
  }
}

TEST(QuantBlocks, SixBitsComeBackNear) {
  // What the type can say exactly: codes under a scale that is a power of two; and noise.
  std::vector<float> exact(512), noise(512), back(512);
  const base::Rng rng(9, base::Purpose::kTest);
  for (std::size_t i = 0; i < 512; ++i) {
    exact[i] = static_cast<float>(static_cast<int>(i * 7 % 64) - 32) * 0.125f;
    noise[i] = rng.normal(i);
    if (i < 16) exact[i] = noise[i] = 0;                // a group of zeros
    if (i % 16 == 0 && i > 0) exact[i] = -32 * 0.125f;  // each group has its extreme
  }
  const auto error = [&](const std::vector<float>& values) {
    std::string made(2 * ops::block_bytes(ops::BlockType::kQ6_K), '\0');
    ops::quantize(ops::BlockType::kQ6_K, values, std::as_writable_bytes(std::span(made)));
    ops::dequantize(ops::BlockType::kQ6_K, std::as_bytes(std::span(made)), back);
    double off = 0, square = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      off += std::pow(static_cast<double>(values[i] - back[i]), 2);
      square += std::pow(static_cast<double>(values[i]), 2);
    }
    return std::sqrt(off / square);
  };
  EXPECT_LT(error(exact), 1e-6);
  EXPECT_LT(error(noise), 0.02);
  EXPECT_GT(error(noise), 0.005);
  EXPECT_LT(error(std::vector<float>(512, 3e6f)), 0.01);
  EXPECT_FALSE(ops::quantizable(ops::BlockType::kQ6_K, std::vector<float>(1, 1e9f)));
}

TEST(QuantBlocks, HalfPrecisionRoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = tensor::half_to_float(half);
    if (std::isnan(value)) continue;
    EXPECT_EQ(tensor::to_half(value), half);
    if ((bits & 0x7fff) >= 0x7bff) continue;  // the middle between this one and the next
    const float next = tensor::half_to_float(static_cast<std::uint16_t>(bits + 1));
    const float middle = value + (next - value) / 2;
    EXPECT_EQ(tensor::to_half(middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(tensor::to_half(std::nextafter(middle, next)), bits + 1);
    EXPECT_EQ(tensor::to_half(std::nextafter(middle, value)), bits);
  }
  EXPECT_EQ(tensor::to_half(65519.0f), 0x7bff);
  EXPECT_EQ(tensor::to_half(65520.0f), 0x7c00);
  EXPECT_EQ(tensor::to_half(-1e30f), 0xfc00);
  EXPECT_TRUE(std::isnan(tensor::half_to_float(tensor::to_half(std::nanf("")))));
}

TEST(QuantBlocks, AnErrorIsAtMostHalfAStep) {
  const base::Rng rng(3, base::Purpose::kTest);
  std::vector<float> weights(320);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = rng.normal(i);
  for (const auto& [type, steps] :
       {std::pair{ops::BlockType::kQ8_0, 127.0f}, std::pair{ops::BlockType::kQ4_0, 8.0f}}) {
    std::string made(weights.size() / 32 * ops::block_bytes(type), '\0');
    ops::quantize(type, weights, std::as_writable_bytes(std::span(made)));
    std::vector<float> back(weights.size());
    ops::dequantize(type, std::as_bytes(std::span(made)), back);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      float largest = 0;
      for (std::size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) {
        largest = std::max(largest, std::fabs(weights[j]));
      }
      // The scale is rounded to f16; and Q4_0 has no +8, so that its last step may be a whole one.
      const float step = largest / steps * 1.001f;
      EXPECT_LE(std::fabs(back[i] - weights[i]),
                type == ops::BlockType::kQ8_0 ? 0.6f * step : step);
    }
  }
}

TEST(QuantBlocks, SaysWhatDoesNotFit) {
  const std::vector<float> large = {1e5f};
  EXPECT_FALSE(ops::quantizable(ops::BlockType::kF16, large));
  EXPECT_TRUE(ops::quantizable(ops::BlockType::kBF16, large));
  EXPECT_TRUE(ops::quantizable(ops::BlockType::kQ8_0, large));
  EXPECT_FALSE(ops::quantizable(ops::BlockType::kQ4_0, std::vector<float>{6e5f}));
  EXPECT_FALSE(ops::block_type_of(3).has_value());
  EXPECT_EQ(ops::block_type_of(30), ops::BlockType::kBF16);
}

}  // namespace
}  // namespace belay::store
