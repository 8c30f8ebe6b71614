#include "data/prepare_files.h"

#include <fmt/core.h>

namespace belay::data {

std::string place_text(const SourceFile& file, std::uint64_t number) {
  return fmt::format("{}, {} {}", file.path, file.form == Form::kJsonLines ? "line" : "document",
                     number);
}

}  // namespace belay::data
