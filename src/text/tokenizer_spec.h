// What a tokenizer is made of, as plain data: the readers (tokenizer.json, tiktoken ranks,
// training) fill it, Tokenizer::make checks it and builds its tables from it, the writer prints it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/split.h"
#include "text/tokenizer.h"

namespace belay::text {

/// Ids are below it, whatever a file says.
inline constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 20;

/// Neighbours left, right become id; of all that are possible the one with the lowest rank goes
/// first, and of equal ranks the leftmost.
struct Merge {
  std::int32_t left, right;
  std::int32_t id;
  std::int32_t rank;
};

struct TokenizerSpec {
  /// By id, as the merges see it: bytes where byte_level, else text after the normalizer. Empty for
  /// an id without a token.
  std::vector<std::string> tokens;
  std::vector<Merge> merges;
  std::vector<SpecialToken> specials;
  std::string begin_of_text;  // content of bos_token; empty when unknown
  std::string end_of_text;    // content of eos_token
  std::string chat_template;  // source of the template that turns messages into text

  // Text to pieces.
  bool nfc = false;
  std::string prepend;                                        // before a text that is not empty
  std::vector<std::pair<std::string, std::string>> replaces;  // after prepend, in order
  bool add_prefix_space = false;  // where a text does not begin with a space
  Split split = Split::kNone;

  // Pieces to ids.
  bool byte_level = true;      // symbols are bytes, else characters
  bool ignore_merges = false;  // a piece that is a token needs no merges
  bool byte_fallback = false;  // a character without a token becomes tokens <0x00> to <0xFF>
  bool fuse_unk = false;
  std::optional<std::int32_t> unk;

  // Ids to text.
  std::vector<std::pair<std::string, std::string>> decode_replaces;
  bool decode_bytes = false;         // <0x0A> is a byte
  bool strip_leading_space = false;  // one, of the whole text

  std::vector<std::int32_t> prefix, suffix;

  /// The files that it was read from, to be saved as they were.
  std::string source_json, source_config;
};

/// Reads a tokenizer.json, and its tokenizer_config.json when there is one.
base::Result<TokenizerSpec> parse_tokenizer_json(std::string_view text, const std::string& name);
base::Status parse_tokenizer_config(std::string_view text, const std::string& name,
                                    TokenizerSpec& spec);

/// The two files of Hugging Face.
std::string tokenizer_json(const TokenizerSpec& spec);
std::string tokenizer_config_json(const TokenizerSpec& spec);

/// A rank file of tiktoken: a line a token, base64 and rank. `split` and the special tokens are not
/// in the file; its name says them (cl100k_base.tiktoken).
base::Result<TokenizerSpec> parse_tiktoken(std::string_view text, const std::string& name);

/// GPT-2's printable stand-in for each byte, as UTF-8.
std::string_view byte_symbol(std::uint8_t byte);
/// The bytes that a text of stand-ins means; nothing when a character is not one.
std::optional<std::string> bytes_of_symbols(std::string_view text);

}  // namespace belay::text
