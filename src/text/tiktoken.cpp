// tiktoken's rank files. Any two neighbours merge whose bytes together are a token, and the rank of
// that merge is the token's: so every way to cut a token into two tokens is a merge of its rank.
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "text/tokenizer_spec.h"

namespace belay::text {
namespace {

using base::Result;
using base::Status;

struct Encoding {
  std::string_view name;
  Split split;
  std::vector<std::pair<std::string_view, std::int32_t>> specials;
};

const Encoding* encoding_of(std::string_view file) {
  static const std::array<Encoding, 4> known = {{
      {"r50k_base", Split::kGpt2, {{"<|endoftext|>", 50256}}},
      {"p50k_base", Split::kGpt2, {{"<|endoftext|>", 50256}}},
      {"cl100k_base",
       Split::kCl100k,
       {{"<|endoftext|>", 100257},
        {"<|fim_prefix|>", 100258},
        {"<|fim_middle|>", 100259},
        {"<|fim_suffix|>", 100260},
        {"<|endofprompt|>", 100276}}},
      {"o200k_base", Split::kO200k, {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
  }};
  for (const Encoding& e : known) {
    if (file.find(e.name) != std::string_view::npos) return &e;
  }
  return nullptr;
}

std::optional<std::string> base64_bytes(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  std::size_t fill = 0;
  for (const char c : text) {
    if (c == '=') {
      ++fill;
      continue;
    }
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0 || fill > 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      bytes.push_back(static_cast<char>(bits >> n_bits & 255));
    }
  }
  if (fill > 2) return std::nullopt;
  return bytes;
}

Status read_line(std::string_view line, TokenizerSpec& spec) {
  const std::size_t space = line.find(' ');
  const auto bytes = base64_bytes(line.substr(0, space));
  std::int32_t rank = -1;
  if (space != std::string_view::npos) {
    const char* end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + space + 1, end, rank);
    if (error != std::errc() || stop != end) rank = -1;
  }
  if (!bytes || bytes->empty() || rank < 0 || rank >= kMaxVocabulary) {
    return base::corrupt(
        {.what = "is not base64, a space and a rank", .seen = base::printable(line)});
  }
  const auto place = static_cast<std::size_t>(rank);
  if (spec.tokens.size() <= place) spec.tokens.resize(place + 1);
  if (!spec.tokens[place].empty()) {
    return base::corrupt({.what = "has the rank of another line", .seen = std::to_string(rank)});
  }
  spec.tokens[place] = *bytes;
  return {};
}

void add_all_splits(TokenizerSpec& spec) {
  std::unordered_map<std::string_view, std::int32_t> ids;
  ids.reserve(spec.tokens.size());
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!spec.tokens[id].empty()) ids.emplace(spec.tokens[id], static_cast<std::int32_t>(id));
  }
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string_view token = spec.tokens[id];
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      const auto rank = static_cast<std::int32_t>(id);
      spec.merges.push_back({left->second, right->second, rank, rank});
    }
  }
}

}  // namespace

Result<TokenizerSpec> parse_tiktoken(std::string_view text, const std::string& name) {
  const Encoding* encoding = encoding_of(name);
  if (encoding == nullptr) {
    return base::unsupported(
        {.where = name,
         .what = "does not say which encoding it is",
         .allowed = "a name with r50k_base, p50k_base, cl100k_base, o200k_base"});
  }
  TokenizerSpec spec;
  spec.split = encoding->split;
  spec.ignore_merges = true;  // tiktoken looks a piece up before it merges
  std::int64_t n_line = 0;
  while (!text.empty()) {
    ++n_line;
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty()) continue;
    if (const Status status = read_line(line, spec); !status.ok()) {
      return status.within(name + ": line " + std::to_string(n_line));
    }
  }
  for (const std::string& token : spec.tokens) {
    if (token.size() > 512) {
      return base::corrupt({.where = name, .what = "holds a token of more than 512 bytes"});
    }
  }
  add_all_splits(spec);
  for (const auto& [content, id] : encoding->specials) {
    const auto place = static_cast<std::size_t>(id);
    if (spec.tokens.size() <= place) spec.tokens.resize(place + 1);
    if (!spec.tokens[place].empty()) {
      return base::corrupt({.where = name,
                            .what = "has a token at the id of a special token",
                            .seen = std::to_string(id)});
    }
    spec.specials.push_back({.content = std::string(content), .id = id});
  }
  return spec;
}

}  // namespace belay::text
