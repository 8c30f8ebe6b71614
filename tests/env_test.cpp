#include "base/env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/progress.h"
#include "base/units.h"
#include "fault_env.h"

namespace belay::base {
namespace {

using belay::test::FaultEnv;
using belay::test::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Env, WritesReadsAndLists) {
  Env& env = Env::posix();
  const TempDir dir;
  ASSERT_TRUE(env.create_dirs(dir.file("a/b")).ok());
  ASSERT_TRUE(env.create_dirs(dir.file("a/b")).ok());
  const std::string path = dir.file("a/b/c");
  ASSERT_TRUE(write_file_atomic(env, path, "one").ok());
  ASSERT_TRUE(write_file_atomic(env, path, "two!").ok());
  EXPECT_EQ(*env.read_file(path, 4), "two!");
  EXPECT_EQ(env.map_file(path)->bytes().size(), 4u);
  EXPECT_EQ(*env.file_size(path), 4u);
  EXPECT_THAT(*env.list_dir(dir.file("a/b")), ElementsAre("c"));
  ASSERT_TRUE(env.remove_file(path).ok());
  EXPECT_FALSE(env.exists(path));
}

TEST(Env, FailuresNameTheFile) {
  Env& env = Env::posix();
  const TempDir dir;
  const std::string missing = dir.file("missing");
  EXPECT_EQ(env.read_file(missing, 10).status().code(), Code::kNotFound);
  EXPECT_THAT(env.read_file(missing, 10).status().message(), HasSubstr(missing));
  EXPECT_THAT(env.map_file(missing).status().message(), HasSubstr(missing));
  EXPECT_THAT(env.map_file(dir.path()).status().message(), HasSubstr("not a regular file"));
  EXPECT_THAT(env.list_dir(missing).status().message(), HasSubstr(missing));
  EXPECT_THAT(write_file_atomic(env, dir.file("no/where"), "x").message(), HasSubstr("no/"));
  EXPECT_EQ(write_file_atomic(env, dir.file(""), "x").code(), Code::kInvalidArgument);
  ASSERT_TRUE(write_file_atomic(env, dir.file("f"), "12345").ok());
  EXPECT_EQ(env.read_file(dir.file("f"), 4).status().code(), Code::kResource);
  EXPECT_EQ(env.create_file(dir.file("f")).status().code(), Code::kIo);
  EXPECT_THAT(env.create_dirs(dir.file("f/g")).message(), HasSubstr(dir.file("f")));
}

TEST(Env, AnEmptyFileMapsToNoBytes) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomic(Env::posix(), dir.file("empty"), "").ok());
  EXPECT_TRUE(Env::posix().map_file(dir.file("empty"))->bytes().empty());
}

// Whichever change to the disk is the first to fail, the file holds the old or the new content, and
// the new one when success was reported.
TEST(AtomicFile, IsOldOrNewAfterAnyFault) {
  const std::string old_text(1000, 'o'), new_text(3000, 'n');
  bool done = false;
  for (std::int64_t n = 0; !done; ++n) {
    ASSERT_LT(n, 100);
    const TempDir dir;
    FaultEnv env;
    ASSERT_TRUE(write_file_atomic(env, dir.file("f"), old_text).ok());
    env.fail_from = env.changes + n;
    done = write_file_atomic(env, dir.file("f"), new_text).ok();
    const std::string content = *env.read_file(dir.file("f"), 1 << 20);
    EXPECT_TRUE(content == new_text || (!done && content == old_text)) << n;
    for (const std::string& name : *env.list_dir(dir.path())) {
      EXPECT_TRUE(name == "f" || is_temporary_name(name)) << name;
    }
  }
}

TEST(AtomicFile, GivenUpLeavesNothing) {
  const TempDir dir;
  {
    auto file = AtomicFile::open(Env::posix(), dir.file("f"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half").ok());
    EXPECT_EQ(Env::posix().list_dir(dir.path())->size(), 1u);
  }
  EXPECT_TRUE(Env::posix().list_dir(dir.path())->empty());
}

TEST(Env, KnowsItsMemory) {
  Env& env = Env::posix();
  EXPECT_GT(env.total_memory_bytes(), std::uint64_t{1} << 26);
  EXPECT_GT(env.rss_bytes(), std::uint64_t{1} << 20);
  EXPECT_LE(env.rss_bytes(), env.peak_rss_bytes() + (std::uint64_t{4} << 20));
  EXPECT_GT(env.available_memory_bytes(), 0u);
  EXPECT_LE(env.available_memory_bytes(), env.total_memory_bytes());
  EXPECT_GT(env.peak_rss_bytes(), 1u << 20);
}

TEST(Env, Paths) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_EQ(parent_dir("a/b"), "a");
  EXPECT_EQ(parent_dir("b"), ".");
  EXPECT_EQ(parent_dir("/b"), "/");
  EXPECT_EQ(base_name("a/b"), "b");
}

// Values of the reference implementation (xxhsum -H3).
TEST(Hash, IsXxh3) {
  const std::string text = "belay";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(hex64(xxh3_64({})), "2d06800538d394c2");
  Xxh3 pieces;
  pieces.update(bytes.first(2));
  pieces.update(bytes.subspan(2));
  EXPECT_EQ(pieces.digest(), xxh3_64(bytes));
  EXPECT_EQ(parse_hex64(hex64(pieces.digest())), pieces.digest());
  EXPECT_EQ(parse_hex64("2D06800538D394C2"), std::nullopt);
  EXPECT_EQ(parse_hex64("2d"), std::nullopt);
}

class ClockEnv : public EnvWrapper {
 public:
  ClockEnv() : EnvWrapper(Env::posix()) {}
  double now = 100;
  double steady_seconds() override { return now; }
};

TEST(Progress, RewritesALineOnATerminal) {
  ClockEnv env;
  std::string out;
  {
    Progress progress(env, true, [&](std::string_view text) { out += text; });
    env.now += 10;
    progress.update(
        {.fraction = 0.25, .counter = "step 5/20", .rate = 12345, .unit = "tok/s", .loss = 2.5});
    EXPECT_EQ(out, "\rstep 5/20  loss 2.5000  12.3k tok/s  30s left\x1b[K");
    progress.update({.counter = "too soon"});
    EXPECT_THAT(out, ::testing::Not(HasSubstr("soon")));
  }
  EXPECT_EQ(out.back(), '\n');
}

TEST(Progress, WritesALineEveryFiveSecondsElsewhere) {
  ClockEnv env;
  std::vector<std::string> lines;
  Progress progress(env, false, [&](std::string_view text) { lines.emplace_back(text); });
  for (int i = 0; i < 120; ++i) {
    env.now += 0.1;
    progress.update({.fraction = 0.5, .counter = "x"});
  }
  EXPECT_EQ(lines.size(), 2u);
  progress.finish({.fraction = 1, .counter = "x"});
  EXPECT_EQ(lines.back(), "x  12s in all\n");
}

TEST(Units, AreShort) {
  EXPECT_EQ(count_text(950), "950");
  EXPECT_EQ(count_text(12345), "12.3k");
  EXPECT_EQ(count_text(999600), "1.00M");
  EXPECT_EQ(duration_text(45), "45s");
  EXPECT_EQ(duration_text(192), "3m12s");
  EXPECT_EQ(duration_text(3840), "1h04m");
  EXPECT_EQ(duration_text(90000), "1d01h");
  EXPECT_EQ(count_text(5e15), "5.00P");
  EXPECT_EQ(count_text(5e24), "5000Z");
  EXPECT_EQ(bytes_text(512), "512 B");
  EXPECT_EQ(bytes_text(1023), "1.00 KiB");
  EXPECT_EQ(bytes_text(std::uint64_t{64} << 30), "64.0 GiB");
}

}  // namespace
}  // namespace belay::base
