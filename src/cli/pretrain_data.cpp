#include "cli/pretrain_data.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "data/embedded_corpus.h"

namespace belay::cli {
namespace {

using base::Result;

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{4} << 30;
constexpr std::size_t kMaxValidBytes = std::size_t{1} << 20;
constexpr std::size_t kPromptBytes = 48;
constexpr std::size_t kExcerptFrom = std::size_t{1} << 20;  // bytes of validation text looked at

Result<RunData> open_text(base::Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(std::string text, env.read_file(path, kMaxTextBytes));
  const std::size_t n_valid = std::min(kMaxValidBytes, text.size() / 20);
  std::string valid = text.substr(text.size() - n_valid);
  text.resize(text.size() - n_valid);
  std::vector<std::string> train_documents, valid_documents;
  train_documents.push_back(std::move(text));
  valid_documents.push_back(std::move(valid));
  return RunData{
      data::Dataset::of_bytes(std::move(train_documents), std::move(valid_documents), path), false,
      true};
}

nlohmann::ordered_json counts(const data::TokenStream& stream) {
  return {{"documents", stream.n_documents()},
          {"tokens", stream.n_tokens()},
          {"bytes", stream.n_text_bytes()}};
}

/// The text of a split's documents, one after the other, up to about max_bytes.
std::string text_of(const data::Dataset& set, data::Split split, std::size_t max_bytes) {
  const data::TokenStream& stream = set.split(split);
  const std::int64_t mark = stream.end_of_text() ? 1 : 0;
  std::string text;
  std::vector<std::int32_t> ids;
  for (std::int64_t d = 0; d < stream.n_documents() && text.size() < max_bytes; ++d) {
    const std::int64_t begin = stream.document_begin(d) + mark;
    // A token is at least a byte: no more of them are needed.
    const auto n = std::min<std::uint64_t>(
        static_cast<std::uint64_t>(stream.document_begin(d + 1) - begin), max_bytes - text.size());
    ids.resize(n);
    stream.read(begin, ids);
    text += set.tokenizer().decode(ids);
  }
  return text;
}

}  // namespace

Result<RunData> open_run_data(base::Env& env, const std::string& path) {
  if (path.empty()) return RunData{data::embedded_dataset(), true, true};
  if (!env.is_directory(path)) return open_text(env, path);
  BELAY_ASSIGN_OR_RETURN(data::Dataset set, data::Dataset::open(env, path));
  return RunData{std::move(set), false, false};
}

nlohmann::ordered_json data_json(const data::Dataset& set) {
  return {{"name", set.name()},
          {"fingerprint", base::hex64(set.fingerprint())},
          {"vocab_size", set.vocab_size()},
          {"train", counts(set.train())},
          {"valid", counts(set.valid())}};
}

Excerpt excerpt_of(const data::Dataset& set, std::size_t n_bytes) {
  const data::Split split = set.valid().n_tokens() > 1 ? data::Split::kValid : data::Split::kTrain;
  const std::string text = text_of(set, split, kExcerptFrom);
  std::size_t begin = text.find('\n', text.size() / 3);
  begin = begin == std::string::npos ? 0 : text.find_first_not_of('\n', begin);
  if (begin == std::string::npos) begin = 0;
  const std::string piece = text.substr(begin, n_bytes + kPromptBytes);
  const std::size_t space = piece.find(' ', kPromptBytes);
  const std::size_t cut = space == std::string::npos ? piece.size() / 2 : space;
  return {piece.substr(0, cut), piece.substr(cut)};
}

}  // namespace belay::cli
