// Whether bytes are UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace belay::data {

/// Offset of the first byte that begins no well-formed character (The Unicode Standard, table 3-7:
/// neither overlong forms, nor surrogates, nor more than U+10FFFF); npos when there is none.
std::size_t find_invalid_utf8(std::string_view text);

/// The largest place at or before `at` where no character is cut, in text that is UTF-8.
std::size_t character_begin(std::string_view text, std::size_t at);

}  // namespace belay::data
