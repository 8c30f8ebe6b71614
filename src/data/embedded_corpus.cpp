#include "data/embedded_corpus.h"

#include <zstd.h>

#include <cstddef>

#include "base/status.h"

// Placed by cmake/embedded_corpus.S.in.
extern "C" {
extern const char belay_corpus_train_begin[], belay_corpus_train_end[];
extern const char belay_corpus_valid_begin[], belay_corpus_valid_end[];
}

namespace belay::data {
namespace {

constexpr std::int64_t kTrainBytes = 14'811'927;
constexpr std::int64_t kValidBytes = 619'011;

std::string unpack(const char* begin, const char* end, std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(end - begin);
  const auto expected = static_cast<std::size_t>(bytes);
  BELAY_CHECK(ZSTD_getFrameContentSize(begin, size) == expected,
              "the size of an embedded text is not the one in data/embedded_corpus.cpp");
  std::string text(expected, '\0');
  const std::size_t unpacked = ZSTD_decompress(text.data(), text.size(), begin, size);
  BELAY_CHECK(unpacked == expected, "an embedded text does not unpack");
  return text;
}

}  // namespace

std::int64_t embedded_corpus_bytes() { return kTrainBytes + kValidBytes; }

Corpus embedded_corpus() {
  return {.train = unpack(belay_corpus_train_begin, belay_corpus_train_end, kTrainBytes),
          .valid = unpack(belay_corpus_valid_begin, belay_corpus_valid_end, kValidBytes)};
}

Dataset embedded_dataset() {
  const Corpus corpus = embedded_corpus();
  const auto documents = [](std::string_view text) {
    const std::vector<std::string_view> views = split_documents(text);
    return std::vector<std::string>(views.begin(), views.end());
  };
  return Dataset::of_bytes(documents(corpus.train), documents(corpus.valid), "embedded novels");
}

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  while (!text.empty()) {
    const std::size_t end = text.find(kDocumentEnd);
    documents.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + kDocumentEnd.size());
  }
  return documents;
}

}  // namespace belay::data
