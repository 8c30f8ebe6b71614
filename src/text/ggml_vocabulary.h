// A tokenizer as GGUF files describe it (keys tokenizer.ggml.* of the GGUF specification), and what
// llama.cpp does with it, both ways:
//   "gpt2"   byte-level BPE: tokens in GPT-2's byte symbols, merges, and the name of the
//   expressions
//            that split the text (`pre`), of which llama.cpp has the list;
//   "llama"  SentencePiece's BPE: no merges but scores. Two neighbours whose concatenation is a
//   token
//            may merge; the highest score goes first, of equal scores the leftmost. Characters that
//            are no token become bytes.
// Tokens of two kinds are more than text: control tokens, found only where special tokens are asked
// for, and user-defined ones, found in every text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace belay::store {
class GgufFile;
}

namespace belay::text {

/// What stands for a space in SentencePiece's tokens: U+2581.
inline constexpr std::string_view kSentencePieceSpace = "\xE2\x96\x81";

/// tokenizer.ggml.token_type.
enum class GgmlTokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct GgmlVocabulary {
  std::string model;  // "gpt2", "llama"
  std::string pre;    // of "gpt2"
  std::vector<std::string> tokens;
  std::vector<float> scores;        // of "llama", one a token
  std::vector<std::int32_t> types;  // one a token; empty: all are normal
  std::vector<std::string> merges;  // of "gpt2": "left right"
  std::int32_t bos = -1, eos = -1, unk = -1;
  std::optional<bool> add_bos, add_eos, add_space_prefix;  // empty: as the model's kind has it
  /// Texts are normalized to NFC first. llama.cpp has no key for it: ours is belay.tokenizer.nfc;
  /// where it is missing, Qwen's `pre` means yes.
  std::optional<bool> nfc;
  std::string chat_template;
};

/// Whether a file has a tokenizer at all.
bool has_ggml_vocabulary(const store::GgufFile& file);
/// The keys of a file, each checked by itself.
base::Result<GgmlVocabulary> read_ggml_vocabulary(const store::GgufFile& file);

/// kUnsupported for what llama.cpp can do and this cannot, by name.
base::Result<TokenizerSpec> spec_of_ggml(const GgmlVocabulary& vocabulary, const std::string& name);

/// The other way. kUnsupported where the file's keys cannot say what the tokenizer does.
base::Result<GgmlVocabulary> ggml_of_spec(const TokenizerSpec& spec, const std::string& name);

}  // namespace belay::text
