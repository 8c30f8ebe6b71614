// The files of a dataset that is being prepared.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "data/sources.h"

namespace belay::data {

/// Files of explicit validation come first.
struct PrepareFiles {
  std::vector<SourceFile> files;
  std::size_t n_valid = 0;
  std::vector<std::string> skipped;  // as in SourceList
};

/// "books.txt, document 12", or line 12.
std::string place_text(const SourceFile& file, std::uint64_t number);

}  // namespace belay::data
