// Text taken apart: unpacking, documents of a file, lines of JSON, UTF-8, what a list of paths
// holds.
#include "data/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/unpack.h"
#include "data/json_lines.h"
#include "data/sources.h"
#include "data/utf8.h"
#include "fault_env.h"
#include "text/unicode.h"

namespace belay::data {
namespace {

using base::Compression;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A file in memory that gives at most `step` bytes at a time.
class Trickle final : public base::ReadableFile {
 public:
  Trickle(std::string text, std::size_t step) : text_(std::move(text)), step_(step) {}
  base::Result<std::size_t> read(std::span<std::byte> out) override {
    const std::size_t n = std::min({out.size(), step_, text_.size() - at_});
    std::memcpy(out.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  std::size_t step_, at_ = 0;
};

std::string gzip(const std::string& text) {
  z_stream s{};
  deflateInit2(&s, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()) + 64, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  s.avail_in = static_cast<uInt>(text.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t n = 0;
  lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr,
                          reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                          reinterpret_cast<std::uint8_t*>(out.data()), &n, out.size());
  out.resize(n);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

base::Result<std::string> unpacked(const std::string& bytes, Compression how, std::size_t step) {
  const auto file = base::unpack(std::make_unique<Trickle>(bytes, step), how, "f");
  std::string text;
  std::vector<std::byte> piece(1000);
  while (true) {
    BELAY_ASSIGN_OR_RETURN(const std::size_t n, file->read(piece));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(piece.data()), n);
  }
}

struct Packer {
  std::string name;
  Compression how;
  std::string (*pack)(const std::string&);
  friend void PrintTo(const Packer& packer, std::ostream* out) { *out << packer.name; }
};

class Unpack : public ::testing::TestWithParam<Packer> {
 protected:
  const std::string text_ = [] {
    std::string text;
    for (int i = 0; i < 20000; ++i) text += "line " + std::to_string(i * 7919 % 10007) + "\n";
    return text;
  }();
};

TEST_P(Unpack, GivesWhatWasPacked) {
  const Packer& p = GetParam();
  EXPECT_EQ(base::compression_of("a.txt." + p.name), p.how);
  EXPECT_EQ(base::unpacked_name("a.txt." + p.name), "a.txt");
  const std::string packed = p.pack(text_);
  for (const std::size_t step : {1, 7, 100000}) {
    const auto seen = unpacked(packed, p.how, step);
    ASSERT_TRUE(seen.ok()) << seen.status().message();
    EXPECT_EQ(*seen, text_);
  }
  EXPECT_EQ(*unpacked(packed + p.pack("more"), p.how, 100000), text_ + "more");
  EXPECT_EQ(*unpacked(p.pack(""), p.how, 3), "");
}

TEST_P(Unpack, RefusesWhatIsCutOffOrDamaged) {
  const Packer& p = GetParam();
  const std::string packed = p.pack(text_.substr(0, 2000));
  for (std::size_t n = 0; n < packed.size(); ++n) {
    const auto seen = unpacked(packed.substr(0, n), p.how, 64);
    ASSERT_FALSE(seen.ok()) << n;
    ASSERT_THAT(seen.status().message(), StartsWith("f: ends in the middle")) << n;
  }
  EXPECT_THAT(unpacked("no packed data", p.how, 64).status().message(), HasSubstr("is not valid"));
  EXPECT_FALSE(unpacked(packed + "rest", p.how, 64).ok());
  if (p.name == "zst")
    return;  // without a checksum, which `zstd` writes and ZSTD_compress does not
  std::string damaged = packed;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  EXPECT_FALSE(unpacked(damaged, p.how, 64).ok());
}

INSTANTIATE_TEST_SUITE_P(Formats, Unpack,
                         ::testing::Values(Packer{"gz", Compression::kGzip, gzip},
                                           Packer{"xz", Compression::kXz, xz},
                                           Packer{"zst", Compression::kZstd, zstd}),
                         [](const auto& p) { return p.param.name; });

/// "begin:number:text" of every record, "..." after one that goes on.
std::vector<std::string> records(const std::string& text, Form form, std::size_t step = 1000000) {
  RecordReader reader(std::make_unique<Trickle>(text, step), form, "f");
  std::vector<std::string> list;
  while (true) {
    const auto record = reader.next();
    EXPECT_TRUE(record.ok()) << record.status().message();
    if (!record.ok() || !*record) return list;
    const Record& r = **record;
    list.push_back(std::to_string(r.begin) + ":" + std::to_string(r.number) + ":" + r.bytes +
                   (r.cut ? "..." : ""));
  }
}

TEST(Records, DocumentsEndWithALineOfTheirOwn) {
  const struct {
    std::string text;
    std::vector<std::string> documents;
  } table[] = {
      {"", {}},
      {"a", {"0:1:a"}},
      {"a\n<|endoftext|>\nb\n", {"0:1:a\n", "16:2:b\n"}},
      {"a\n<|endoftext|>\r\nb", {"0:1:a\n", "17:2:b"}},
      {"a\n<|endoftext|>", {"0:1:a\n"}},
      {"a\n<|endoftext|>\r", {"0:1:a\n"}},
      {"<|endoftext|>\n<|endoftext|>\nb", {"0:1:", "14:2:", "28:3:b"}},
      {"a<|endoftext|>\nb", {"0:1:a<|endoftext|>\nb"}},
      {"a\n<|endoftext|> \nb", {"0:1:a\n<|endoftext|> \nb"}},
      {"a\n<|endoftext|>\rb", {"0:1:a\n<|endoftext|>\rb"}},
      {"a\n<|endoftext|><|endoftext|>\n<|endoftext|>\n", {"0:1:a\n<|endoftext|><|endoftext|>\n"}},
      {"\xEF\xBB\xBF"
       "a\n<|endoftext|>\nb",
       {"3:1:a\n", "19:2:b"}},
      {"\xEF\xBB\xBF", {}},
  };
  for (const auto& row : table) {
    for (const std::size_t step : {1, 2, 5, 1000}) {
      EXPECT_EQ(records(row.text, Form::kText, step), row.documents) << row.text << " by " << step;
    }
  }
}

TEST(Records, LinesOfJson) {
  for (const std::size_t step : {1, 3, 1000}) {
    EXPECT_THAT(records("{}\n\n{\"a\":1}\n[]", Form::kJsonLines, step),
                ElementsAre("0:1:{}", "3:2:", "4:3:{\"a\":1}", "12:4:[]"));
  }
}

TEST(Records, ALongDocumentIsCutAtALineEnd) {
  const std::string line(999, 'x');
  std::string text;
  while (text.size() < 2 * kLongestDocument + 500000) text += line + "\n";
  text += "<|endoftext|>\nlast";
  RecordReader reader(std::make_unique<Trickle>(text, 1 << 20), Form::kText, "f");
  std::string all;
  for (const auto& [number, cut] : {std::pair{1, true}, {1, true}, {1, false}, {2, false}}) {
    const auto record = reader.next();
    ASSERT_TRUE(record.ok() && *record);
    EXPECT_EQ((*record)->number, static_cast<std::uint64_t>(number));
    EXPECT_EQ((*record)->cut, cut);
    EXPECT_LE((*record)->bytes.size(), kLongestDocument);
    EXPECT_EQ((*record)->begin, all.size() + (number == 1 ? 0 : 14));
    EXPECT_EQ((*record)->bytes.back(), number == 1 ? '\n' : 't');
    all += (*record)->bytes;
  }
  EXPECT_EQ(all.size(), text.size() - 14);
}

TEST(Records, ALongLineOfJsonIsRefused) {
  const std::string text = "{}\n" + std::string(kLongestLine + (2 << 20), 'x');
  RecordReader reader(std::make_unique<Trickle>(text, 1 << 20), Form::kJsonLines, "f.jsonl");
  EXPECT_TRUE(reader.next().ok());
  EXPECT_THAT(reader.next().status().message(),
              StartsWith("f.jsonl:2: is a line that is too long"));
}

TEST(JsonLines, TheTextOfAField) {
  EXPECT_EQ(*text_of_line(R"({"text": "a\n\u00e4\ud83d\ude00", "n": 1})", "f:1", "text"),
            "a\n\xC3\xA4\xF0\x9F\x98\x80");
  EXPECT_EQ(*text_of_line(R"({"text": null})", "f:1", "text"), "");
  EXPECT_EQ(*text_of_line(" \r", "f:1", "text"), "");
  const std::pair<const char*, const char*> table[] = {
      {R"({"body": "a", "id": 1})", "f:1: has no field 'text' (seen 'body', 'id'); name the field"},
      {R"({"text": 1})", "f:1: text"},
      {R"(["a"])", "f:1: is not a JSON object"},
      {R"("a")", "f:1: is not a JSON object"},
      {R"({"text": "a)", "f:1: is not valid JSON"},
      {R"({"text": "a"} x)", "f:1: is not valid JSON"},
      {"{\"text\": \"\xFF\"}", "f:1"},
      {R"({"text": "\ud800"})", "f:1"},
      {R"({"text": "a", "text": "b"})", "f:1"},
  };
  for (const auto& [line, message] : table) {
    const auto text = text_of_line(line, "f:1", "text");
    ASSERT_FALSE(text.ok()) << line;
    EXPECT_THAT(text.status().message(), HasSubstr(message));
  }
  EXPECT_FALSE(text_of_line(std::string(100000, '['), "f:1", "text").ok());
}

TEST(Utf8, NamesTheFirstByteThatIsNot) {
  const std::string good =
      "abc \xC3\xA4 \xE4\xB8\xAD \xF0\x9F\x98\x80 \xED\x9F\xBF \xF4\x8F\xBF\xBF";
  EXPECT_EQ(text::valid_utf8_prefix(good), good.size());
  const std::string bad[] = {"\x80",
                             "\xC0\x80",
                             "\xC1\xBF",
                             "\xC3",
                             "\xC3(",
                             "\xE0\x9F\x80",
                             "\xED\xA0\x80",
                             "\xE4\xB8",
                             "\xF0\x8F\xBF\xBF",
                             "\xF4\x90\x80\x80",
                             "\xF5\x80\x80\x80",
                             "\xFF",
                             "\xF0\x9F\x98"};
  for (const std::string& bytes : bad) {
    for (std::size_t before = 0; before < 70; ++before) {
      for (const char* after :
           {"", "z", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}) {
        ASSERT_EQ(text::valid_utf8_prefix(std::string(before, 'a') + bytes + after), before);
      }
    }
  }
  EXPECT_EQ(character_begin("a\xE4\xB8\xAD", 3), 1u);
  EXPECT_EQ(character_begin("ab", 1), 1u);
}

class Folder : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    const std::string path = dir_.file(name);
    std::filesystem::create_directories(base::parent_dir(path));
    std::ofstream(path, std::ios::binary) << text;
  }
  base::Result<SourceList> find(const std::vector<std::string>& names) const {
    std::vector<std::string> paths;
    for (const std::string& name : names)
      paths.push_back(name.empty() ? dir_.path() : dir_.file(name));
    return find_sources(base::Env::posix(), paths);
  }
  std::vector<std::string> names(const SourceList& list) const {
    std::vector<std::string> names;
    for (const SourceFile& f : list.files) names.push_back(f.path.substr(dir_.path().size() + 1));
    return names;
  }
  test::TempDir dir_;
};

TEST_F(Folder, HoldsTheTextBelowIt) {
  write("b.txt", "b");
  write("a/z.md", "z");
  write("a/deep/x.jsonl.zst", zstd("{}"));
  write(".hidden", "h");
  write("picture.png", std::string("\x89PNG\0\0", 6));
  write("empty.txt", "");
  write("empty.txt.gz", gzip(""));
  write("prepared/dataset.json", "{}");
  write("prepared/tokenizer.json", "{}");
  const auto list = find({""});
  ASSERT_TRUE(list.ok()) << list.status().message();
  EXPECT_THAT(names(*list), ElementsAre("a/deep/x.jsonl.zst", "a/z.md", "b.txt"));
  EXPECT_THAT(list->skipped,
              ElementsAre(HasSubstr("empty.txt: is empty"), HasSubstr("empty.txt.gz: is empty"),
                          HasSubstr("picture.png: is binary")));
  EXPECT_THAT(names(*find({"b.txt", "a"})), ElementsAre("b.txt", "a/deep/x.jsonl.zst", "a/z.md"));
}

TEST_F(Folder, WhatIsNamedMustHoldText) {
  write("empty.txt", "");
  write("binary.txt", std::string("a\0b", 3));
  write("utf16.txt",
        "\xFF\xFE"
        "a");
  write("table.parquet", "PAR1....");
  write("disguised.txt", "PAR1....");
  write("no.txt.gz", "plain");
  write("sub/t.parquet", "PAR1");
  write("nothing/.hidden", "h");
  write("prepared/dataset.json", "{}");
  const std::pair<const char*, const char*> table[] = {
      {"missing.txt", "missing.txt: does not exist"},
      {"empty.txt", "empty.txt: is empty"},
      {"binary.txt", "binary.txt: is binary, not text"},
      {"utf16.txt", "utf16.txt: is UTF-16, not UTF-8"},
      {"table.parquet", "table.parquet: is Parquet, which Belay does not read"},
      {"disguised.txt", "is Parquet"},
      {"no.txt.gz", "no.txt.gz: is not valid gzip data"},
      {"sub", "t.parquet: is Parquet"},
      {"nothing", "nothing: holds no text files"},
      {"prepared", "prepared: is a prepared dataset, not text"},
  };
  for (const auto& [name, message] : table) {
    const auto list = find({name});
    ASSERT_FALSE(list.ok()) << name;
    EXPECT_THAT(list.status().message(), HasSubstr(message));
  }
  EXPECT_THAT(find({"table.parquet"}).status().message(), HasSubstr("COPY (SELECT text FROM"));
}

TEST_F(Folder, ALoopOfLinksEnds) {
  write("a.txt", "a");
  std::filesystem::create_directory_symlink(dir_.path(), dir_.file("loop"));
  EXPECT_THAT(find({""}).status().message(), HasSubstr("lies too deep"));
}

TEST_F(Folder, RecordsOfAllFilesInTurn) {
  write("a.txt", "one\n<|endoftext|>\ntwo");
  write("b.jsonl.gz", gzip("{\"text\":\"x\"}\n"));
  const auto list = find({""});
  ASSERT_TRUE(list.ok());
  SourceReader reader(base::Env::posix(), list->files);
  std::vector<std::string> seen;
  while (true) {
    const auto record = reader.next();
    ASSERT_TRUE(record.ok()) << record.status().message();
    if (!*record) break;
    seen.push_back(std::to_string((*record)->source) + ":" + (*record)->record.bytes);
  }
  EXPECT_THAT(seen, ElementsAre("0:one\n", "0:two", "1:{\"text\":\"x\"}"));
  EXPECT_EQ(reader.bytes_read(), list->files[0].bytes + list->files[1].bytes);
}

}  // namespace
}  // namespace belay::data
