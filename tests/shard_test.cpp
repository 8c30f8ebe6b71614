// Token shards: what is written comes back, what lies or is damaged is named.
#include "store/shard.h"
#include "run_belay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/hash.h"
#include "base/rng.h"
#include "fault_env.h"

namespace belay::store {
namespace {

using base::Env;
using test::read;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Three documents of 5, 1 and 9 tokens, the last id the largest of the vocabulary.
std::string good_shard(std::int64_t vocab_size = 300) {
  const test::TempDir dir;
  ShardWriter writer(vocab_size, 77);
  writer.add(std::vector<std::int32_t>{1, 2, 3, 4, 5},
             {.text_bytes = 11, .source = 0, .number = 1});
  writer.add(std::vector<std::int32_t>{9}, {.text_bytes = 2, .source = 1, .number = 4});
  std::vector<std::int32_t> last(9, 7);
  last.back() = static_cast<std::int32_t>(vocab_size - 1);
  writer.add(last, {.text_bytes = 30, .text_begin = 13, .source = 1, .number = 5});
  const auto written = writer.write(Env::posix(), dir.path(), "t");
  EXPECT_TRUE(written.ok()) << written.status().message();
  EXPECT_EQ(writer.n_tokens(), 0);
  const std::string bytes = read(dir.file(written->file));
  EXPECT_EQ(bytes.size(), written->bytes);
  return bytes;
}

base::Result<Shard> open(const std::string& bytes) {
  test::BytesEnv env(bytes);
  return Shard::open(env, "x.shard");
}

ShardHeader header_of(const std::string& bytes) {
  ShardHeader h;
  std::memcpy(&h, bytes.data(), sizeof(h));
  return h;
}

/// All checksums right again after a change: the work of somebody who means harm.
std::string sealed(std::string bytes, const ShardHeader& changed) {
  ShardHeader h = changed;
  const std::size_t documents = header_of(bytes).n_documents * sizeof(ShardDocument);
  const auto all = std::as_bytes(std::span(bytes));
  h.tokens_xxh3 = base::xxh3_64(all.subspan(sizeof(h), bytes.size() - sizeof(h) - documents));
  h.documents_xxh3 = base::xxh3_64(all.last(documents));
  h.header_xxh3 = base::xxh3_64(std::as_bytes(std::span(&h, 1)).first(72));
  std::memcpy(bytes.data(), &h, sizeof(h));
  return bytes;
}

TEST(Shard, RoundTripsInTwoAndFourBytes) {
  for (const std::int64_t vocab_size : {300, 65536, 65537, 200000}) {
    const std::string bytes = good_shard(vocab_size);
    const auto shard = open(bytes);
    ASSERT_TRUE(shard.ok()) << shard.status().message();
    const std::size_t width = vocab_size <= 65536 ? 2 : 4;
    EXPECT_EQ(shard->header().token_bytes, width);
    EXPECT_EQ(bytes.size(), 80 + (15 * width + 7) / 8 * 8 + 3 * 32);
    EXPECT_EQ(shard->tokens().size(), 15 * width);
    std::uint32_t last = 0;
    std::memcpy(&last, shard->tokens().data() + 14 * width, width);
    EXPECT_EQ(last, vocab_size - 1);
    ASSERT_EQ(shard->documents().size(), 3u);
    EXPECT_EQ(shard->documents()[2].first_token, 6u);
    EXPECT_EQ(shard->documents()[2].text_begin, 13u);
    EXPECT_EQ(shard->documents()[1].number, 4u);
    EXPECT_EQ(shard->header().n_text_bytes, 43u);
    EXPECT_EQ(shard->header().tokenizer, 77u);
  }
}

/// The bytes of docs/formats.md, by hand: a change of the format must not go unseen.
TEST(Shard, LiesAsThePageSays) {
  const std::string bytes = good_shard();
  EXPECT_THAT(bytes, StartsWith(std::string("BELAYSHD\x01\0\0\0\x02\0\0\0\x2C\x01", 18)));
  EXPECT_EQ(bytes.substr(80, 10), std::string("\x01\0\x02\0\x03\0\x04\0\x05\0", 10));
  EXPECT_EQ(bytes[108], '\x2B');  // 299
  EXPECT_EQ(bytes[110], '\0');    // zeros up to a multiple of 8
  EXPECT_EQ(bytes[112 + 32], '\x05');
}

TEST(Shard, EveryTruncationIsRefused) {
  const std::string bytes = good_shard();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto shard = open(bytes.substr(0, n));
    ASSERT_FALSE(shard.ok()) << n;
    ASSERT_THAT(shard.status().message(), HasSubstr("x.shard")) << n;
  }
  EXPECT_THAT(open(bytes + "x").status().message(),
              HasSubstr("x.shard: size: is not what the header says"));
}

TEST(Shard, EveryFlippedBitIsNamed) {
  const std::string bytes = good_shard();
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto shard = open(damaged);
    ASSERT_FALSE(shard.ok()) << bit;
    ASSERT_THAT(shard.status().message(), StartsWith("x.shard")) << bit;
  }
}

struct Lie {
  std::string name;
  std::function<void(ShardHeader&, std::string& bytes)> change;
  std::string message;
  friend void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }
};

class ShardLies : public ::testing::TestWithParam<Lie> {};

TEST_P(ShardLies, AreNamedThoughTheChecksumsAreRight) {
  std::string bytes = good_shard();
  ShardHeader h = header_of(bytes);
  GetParam().change(h, bytes);
  const auto shard = open(sealed(bytes, h));
  ASSERT_FALSE(shard.ok());
  EXPECT_THAT(shard.status().message(),
              AllOf(StartsWith("x.shard"), HasSubstr(GetParam().message)));
}

/// Document d of the file.
ShardDocument& document(std::string& bytes, std::size_t d) {
  return *(reinterpret_cast<ShardDocument*>(bytes.data() + bytes.size() - 3 * 32) + d);
}

constexpr std::uint64_t kHugeCount = std::uint64_t{1} << 63;

INSTANTIATE_TEST_SUITE_P(
    Table, ShardLies,
    ::testing::Values(
        Lie{"version", [](ShardHeader& h, std::string&) { h.version = 2; },
            "version: is not known to this program (seen 2; allowed 1)"},
        Lie{"width", [](ShardHeader& h, std::string&) { h.token_bytes = 4; },
            "token_bytes: is out of range (seen 4; allowed 2 to 2)"},
        Lie{"width_zero", [](ShardHeader& h, std::string&) { h.token_bytes = 0; }, "token_bytes"},
        Lie{"no_vocabulary", [](ShardHeader& h, std::string&) { h.vocab_size = 0; }, "vocab_size"},
        Lie{"vocabulary", [](ShardHeader& h, std::string&) { h.vocab_size = 299; },
            "largest token id: is out of range (seen 299; allowed 0 to 298)"},
        Lie{"vocabulary_huge", [](ShardHeader& h, std::string&) { h.vocab_size = kHugeCount; },
            "vocab_size"},
        Lie{"tokens", [](ShardHeader& h, std::string&) { h.n_tokens = 17; }, "size"},
        Lie{"tokens_none", [](ShardHeader& h, std::string&) { h.n_tokens = 0; }, "n_tokens"},
        Lie{"tokens_overflow", [](ShardHeader& h, std::string&) { h.n_tokens = kHugeCount + 15; },
            "n_tokens: is out of range"},
        Lie{"documents", [](ShardHeader& h, std::string&) { h.n_documents = 2; }, "size"},
        Lie{"documents_none", [](ShardHeader& h, std::string&) { h.n_documents = 0; },
            "n_documents"},
        Lie{"documents_overflow",
            [](ShardHeader& h, std::string&) { h.n_documents = kHugeCount / 16 + 3; },
            "n_documents: is out of range"},
        Lie{"text_bytes", [](ShardHeader& h, std::string&) { h.n_text_bytes = 44; },
            "n_text_bytes: is out of range (seen 44; allowed 43 to 43)"},
        Lie{"first", [](ShardHeader&, std::string& b) { document(b, 0).first_token = 1; },
            "first_token of document 0"},
        Lie{"order", [](ShardHeader&, std::string& b) { document(b, 2).first_token = 5; },
            "first_token of document 2: is out of range (seen 5; allowed 6 to 14)"},
        Lie{"beyond", [](ShardHeader&, std::string& b) { document(b, 2).first_token = 15; },
            "first_token of document 2"},
        Lie{"text_overflow",
            [](ShardHeader&, std::string& b) { document(b, 1).text_bytes = ~0ull; }, "text_bytes"}),
    [](const auto& lie) { return lie.param.name; });

TEST(ShardWriter, AFaultLeavesNothing) {
  for (std::int64_t n = 0;; ++n) {
    const test::TempDir dir;
    test::FaultEnv env;
    env.fail_from = n;
    ShardWriter writer(300, 1);
    writer.add(std::vector<std::int32_t>(100, 5), {.text_bytes = 100});
    const auto written = writer.write(env, dir.path(), "t");
    env.fail_from = INT64_MAX;
    if (written.ok()) break;
    for (const auto& name : *Env::posix().list_dir(dir.path())) {
      // A temporary file whose removal failed too, or the whole shard whose folder was not synced.
      if (!base::is_temporary_name(name)) {
        EXPECT_TRUE(Shard::open(Env::posix(), dir.file(name)).ok()) << n;
      }
    }
    ASSERT_LT(n, 20);
  }
}

}  // namespace
}  // namespace belay::store
