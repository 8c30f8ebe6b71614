// Places in UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace belay::data {

/// The largest place at or before `at` where no character is cut, in text that is UTF-8.
std::size_t character_begin(std::string_view text, std::size_t at);

}  // namespace belay::data
