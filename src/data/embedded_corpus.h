// The text that the program carries, so that a first model needs no download: English novels in the
// public domain, compressed with zstd in corpus/ and unpacked on request. corpus/README.md lists
// the books, their licence and what compressors reach on them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace belay::data {

/// The line that ends each document of a corpus, its line end included.
inline constexpr std::string_view kDocumentEnd = "<|endoftext|>\n";

/// Two texts in UTF-8; every document ends with kDocumentEnd.
struct Corpus {
  std::string train;  // 22 novels, 14,811,927 bytes
  std::string valid;  // 2 novels by authors who are not in train, 619,011 bytes
};

/// Bytes that the corpus takes unpacked; unpacks nothing.
std::int64_t embedded_corpus_bytes();

/// Unpacks the corpus: about 15 MB and 30 ms. Throws std::logic_error if the program was built with
/// broken files.
Corpus embedded_corpus();

/// Its documents as byte ids, named "embedded novels".
Dataset embedded_dataset();

/// The documents of a corpus, in order, without their kDocumentEnd; text after the last one is a
/// document too. The views point into text.
std::vector<std::string_view> split_documents(std::string_view text);

}  // namespace belay::data
