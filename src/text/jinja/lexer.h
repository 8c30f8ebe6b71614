// A template's text as tokens, with white space as Hugging Face's templates have it: trim_blocks
// (the line end after a tag goes) and lstrip_blocks (the indentation before a tag goes), "-" and
// "+" inside a tag's bounds, comments and raw blocks. Linear in the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::text::jinja {

enum class TokenKind : std::uint8_t {
  kText,        // outside of tags
  kBlockBegin,  // {%
  kBlockEnd,
  kPrintBegin,  // {{
  kPrintEnd,
  kName,
  kString,
  kInt,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text = {};  // strings unescaped
  std::int64_t whole = 0;
  double number = 0;
};

/// All tokens, kEnd last. `name` is what messages call the template.
base::Result<std::vector<Token>> tokenize(std::string_view source, std::string_view name);

}  // namespace belay::text::jinja
