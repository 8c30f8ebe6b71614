// Tokenizers against the ids that other people's programs gave.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace belay {
namespace {

using text::Tokenizer;

TEST(Tokenizer, OfBytes) {
  const Tokenizer t = Tokenizer::bytes();
  EXPECT_EQ(t.vocab_size(), 256);
  EXPECT_FALSE(t.end_of_text().has_value());
  std::vector<std::int32_t> ids(256);
  std::iota(ids.begin(), ids.end(), 0);
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  std::vector<std::int32_t> out;
  t.encode(all, out);
  EXPECT_EQ(out, ids);
  EXPECT_EQ(t.decode(ids), all);
  EXPECT_EQ(t.encode_with_special(all), ids);
}

}  // namespace
}  // namespace belay
