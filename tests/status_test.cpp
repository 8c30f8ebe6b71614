#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/checked.h"

namespace belay::base {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) {
    return corrupt({.where = "f.json: x",
                    .what = "is odd",
                    .seen = std::to_string(x),
                    .allowed = "even numbers",
                    .next = "add one"});
  }
  return x / 2;
}

Result<std::string> quarter(int x) {
  BELAY_ASSIGN_OR_RETURN(const int h, half(x));
  BELAY_ASSIGN_OR_RETURN(const int q, half(h));
  BELAY_RETURN_IF_ERROR(half(0).status());
  return std::to_string(q);
}

TEST(Status, IsOneSentence) {
  EXPECT_EQ(half(3).status().message(),
            "f.json: x: is odd (seen 3; allowed even numbers); add one");
  EXPECT_EQ(not_found({.where = "a"}).message(), "a: not found");
  EXPECT_EQ(io_error({.what = "no disk", .next = "buy one"}).message(), "no disk; buy one");
  EXPECT_EQ(Status().message(), "ok");
}

TEST(Status, KeepsCodeAndDetailWhenSeenFromOutside) {
  const Status inner = half(3).status();
  const Status outer = inner.within("folder");
  EXPECT_EQ(outer.code(), Code::kCorrupt);
  EXPECT_EQ(outer.detail().where, "folder: f.json: x");
  EXPECT_EQ(outer.detail().seen, "3");
  EXPECT_TRUE(Status().within("folder").ok());
  EXPECT_EQ(inner.detail().where, "f.json: x");
}

TEST(Result, MacrosPassOnValueOrFailure) {
  EXPECT_EQ(*quarter(12), "3");
  EXPECT_EQ(quarter(3).status().detail().seen, "3");
  EXPECT_EQ(quarter(6).status().detail().seen, "3");
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 7);
}

TEST(Result, MisuseThrows) {
  EXPECT_THROW((void)half(1).value(), std::logic_error);
  EXPECT_THROW((void)Result<int>(Status()), std::logic_error);
  EXPECT_THROW((void)Status(Code::kOk, {}), std::logic_error);
}

TEST(Printable, HostileTextCannotLeaveItsQuotes) {
  EXPECT_EQ(printable("a b"), "'a b'");
  EXPECT_EQ(printable("\x1b[2J\n\xff\\"), "'\\x1b[2J\\x0a\\xff\\x5c'");
  EXPECT_EQ(printable(std::string(500, 'x'), 3), "'xxx...'");
}

TEST(Checked, OverflowIsNoValue) {
  EXPECT_EQ(checked_add<std::int64_t>(INT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add<std::uint64_t>(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_mul<std::int64_t>(std::int64_t{1} << 32, std::int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_mul<std::int64_t>(6, 7), 42);
  EXPECT_EQ(checked_product<std::int64_t>(std::initializer_list<std::int64_t>{}), 1);
  EXPECT_EQ(checked_product<std::int64_t>(
                std::initializer_list<std::int64_t>{std::int64_t{1} << 62, 4, 0}),
            std::nullopt);
}

}  // namespace
}  // namespace belay::base
