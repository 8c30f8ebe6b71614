// The text files of a corpus, for training: all under the given paths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace belay::text {

struct CorpusFile {
  std::string path;
  std::uint64_t bytes = 0;
};

/// The files in the order given, those of a folder by name, with what is below it; names that begin
/// with a dot are passed over. No file at all, or an empty one that was named, is an error.
base::Result<std::vector<CorpusFile>> find_corpus_files(base::Env& env,
                                                        const std::vector<std::string>& paths);

/// The whole file, which must be UTF-8 and not empty.
base::Result<base::MappedFile> map_text(base::Env& env, const std::string& path);

}  // namespace belay::text
