// A tokenizer: bytes of text to token ids and back. Byte pair encoding as GPT-2, tiktoken, Llama
// and Qwen have it, exact to the id, from a Hugging Face tokenizer.json, from tiktoken's rank files
// or from training (text/bpe_train.h). Immutable once made; copies share one vocabulary.
//
// Cost of encode: linear in the text but for one long piece, which is n log n. Memory: the
// vocabulary, and for each thread that encodes at one time a cache of 1 MiB.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "text/marked_text.h"

namespace belay::text {

struct TokenizerSpec;

/// A token that is more than a piece of text: "<|endoftext|>". Its text becomes its id only in
/// encode_with_special.
struct SpecialToken {
  std::string content;
  std::int32_t id = 0;
  bool special = true;                  // false: an added word, as "<think>" of Qwen 3
  bool lstrip = false, rstrip = false;  // takes the white space before, after it
  bool always = false;  // its text becomes its id in encode, too (words of GGUF files)
};

class Tokenizer {
 public:
  /// From a tokenizer.json, a folder that holds one (beside it tokenizer_config.json is read), a
  /// GGUF file (text/ggml_vocabulary.h), or a rank file of tiktoken whose name says which
  /// (cl100k_base.tiktoken). The content is not
  /// trusted: what breaks the format is kCorrupt, what we cannot encode exactly is kUnsupported,
  /// each with the field.
  static base::Result<Tokenizer> load(base::Env& env, const std::string& path);
  /// The same from a text in memory; `name` is what messages call it.
  static base::Result<Tokenizer> parse(std::string_view tokenizer_json, const std::string& name);
  /// Vocabulary 256: an id is a byte; no special tokens.
  static Tokenizer bytes();
  /// Checks the parts (tokenizer_spec.h).
  static base::Result<Tokenizer> make(TokenizerSpec spec, const std::string& name);

  /// Writes tokenizer.json and tokenizer_config.json, each whole or not at all, as Hugging Face's
  /// libraries read them. What was loaded from a tokenizer.json is written as it was.
  base::Status save(base::Env& env, const std::string& folder) const;

  /// Ids are below it.
  std::int64_t vocab_size() const;
  /// The id that parts documents: "<|endoftext|>", else the eos_token of tokenizer_config.json.
  std::optional<std::int32_t> end_of_text() const;
  /// Contents of bos_token and eos_token, and the source of the chat template; empty when unknown.
  std::string_view bos_token() const;
  std::string_view eos_token() const;
  std::string_view chat_template() const;
  /// What the tokenizer's template puts before and after a text ("<s>" of Llama 2); encode does
  /// not.
  std::span<const std::int32_t> template_prefix() const;
  std::span<const std::int32_t> template_suffix() const;
  /// By ascending id.
  std::span<const SpecialToken> special_tokens() const;

  /// Appends the ids of a text. The text is searched for no special tokens but those that are
  /// `always` found. Bytes that are not UTF-8 count as symbols of their own where the vocabulary is
  /// made of bytes.
  void encode(std::string_view utf8, std::vector<std::int32_t>& out) const;
  /// The same, but the text of a special token becomes its id, unless some of it lies in `content`
  /// (spans in order, apart from each other), where text is only text.
  std::vector<std::int32_t> encode_with_special(std::string_view utf8,
                                                std::span<const ByteSpan> content = {}) const;
  /// The bytes of the text; specials as their text. Ids outside the vocabulary give nothing.
  std::string decode(std::span<const std::int32_t> ids) const;
  /// The bytes that this token adds to a text; empty for an id that names no token.
  std::string_view token_bytes(std::int32_t id) const;

  /// Where a prefix of `text` ends whose encoding, followed by the encoding of the rest (and of
  /// whatever text follows), is the encoding of the whole, special tokens or not: so a long text is
  /// encoded in blocks. The last such place that is easily found; 0 when there is none.
  std::size_t safe_cut(std::string_view text) const;

  /// XXH3 of what decides encoding and decoding.
  std::uint64_t fingerprint() const;
  /// "o200k", "qwen", ... for reports: how text is split before the merges.
  std::string_view split_name() const;
  std::int64_t n_merges() const;

  /// The parts again. What was read from a tokenizer.json is read once more.
  TokenizerSpec spec() const;

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace belay::text
