// Tables from outside: what RFC 4180 allows, and what is refused with file, line and column.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "run_belay.h"
#include "store/csv.h"

namespace belay::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Csv, QuotesLineEndsAndByteOrderMark) {
  const auto table =
      parse_csv("\xEF\xBB\xBF\"a \"\"b\"\"\",\"c\r\nd\",\r\n1, +2 ,\"3,5\"\n\n\r\"\",-1e-3,x", "t");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_THAT(table->columns, ElementsAre("a \"b\"", "c\r\nd", ""));
  ASSERT_EQ(table->rows.size(), 2u);
  EXPECT_THAT(table->rows[0], ElementsAre("1", " +2 ", "3,5"));
  EXPECT_THAT(table->rows[1], ElementsAre("", "-1e-3", "x"));
  EXPECT_THAT(table->lines, ElementsAre(3u, 6u));
}

TEST(Csv, NumbersAndTheirFaults) {
  const auto table = parse_csv("a,b\n 1e6 ,+2.5\nnan,-inf\n,1e999\n1 2,0x10\n", "t.csv");
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(*table->number(0, 0), 1e6);
  EXPECT_EQ(*table->number(0, 1), 2.5);
  EXPECT_TRUE(std::isnan(*table->number(1, 0)));
  EXPECT_EQ(*table->number(1, 1), -HUGE_VAL);
  EXPECT_EQ(table->number(2, 0).status().message(),
            "t.csv: line 4, column 'a': is empty (allowed a number)");
  EXPECT_THAT(table->number(2, 1).status().message(), HasSubstr("outside what a number can hold"));
  EXPECT_THAT(table->number(3, 0).status().message(), HasSubstr("is no number (seen '1 2')"));
  EXPECT_FALSE(table->number(3, 1).ok());
  EXPECT_EQ(*table->column("b"), 1u);
  EXPECT_THAT(parse_csv("loss,N\n1,2\n", "t")->column("los").status().message(),
              HasSubstr("did you mean 'loss'?"));
}

TEST(Csv, RefusesWhatIsNoTable) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "t: holds no rows"},
      {"a,b\n", "t: holds no rows"},
      {"a,b\n1\n", "line 2: has another number of cells than the header (seen 1; allowed 2)"},
      {"a,b\n1,2,3\n", "line 2: has another number of cells"},
      {"a,a\n1,2\n", "line 1: names a column twice (seen 'a')"},
      {"a;b\n1;2\n", "line 1: separates its columns by something else than commas"},
      {"a,b\n\"1,2\n", "ends inside a quoted cell"},
      {"a,b\n\"1\"x,2\n", "line 2: goes on after the closing quote"},
      {"a,b\n1\"2,3\n", "line 2: has a quote inside a cell"},
      {std::string("a,b\n1,\0\n", 8), "line 2: is no text in UTF-8"},
      {"a,b\n1,2\n1,\xFF\n", "line 3: is no text in UTF-8"},
      {"a,b\n1,\xED\xA0\x80\n", "is no text in UTF-8"}};
  for (const auto& [text, message] : cases) {
    const auto table = parse_csv(text, "t");
    ASSERT_FALSE(table.ok()) << text;
    EXPECT_THAT(table.status().message(), HasSubstr(message)) << text;
  }
}

TEST(Csv, LimitsHoldBeforeMemoryDoes) {
  const CsvLimits limits{.max_bytes = 200, .max_cells = 6, .max_columns = 4, .max_cell_bytes = 10};
  for (const std::string& text :
       {std::string(201, 'a'), std::string("a,b\n1,2\n1,2\n1,2\n1,2\n"), std::string("a,b,c,d,e\n"),
        std::string("a\n\"01234567890\"\n")}) {
    EXPECT_FALSE(parse_csv(text, "t", limits).ok()) << text;
  }
  EXPECT_TRUE(parse_csv("a,b\n1,2\n1,2\n1,2\n", "t", limits).ok());
}

TEST(Csv, ReadsAFileAndNamesOneThatIsNotThere) {
  const test::TempDir dir;
  test::write(dir.file("t.csv"), "a,b\n1,2\n");
  EXPECT_EQ(*read_csv(base::Env::posix(), dir.file("t.csv"))->number(0, 1), 2);
  EXPECT_THAT(read_csv(base::Env::posix(), dir.file("none.csv")).status().message(),
              HasSubstr("none.csv"));
}

}  // namespace
}  // namespace belay::store
