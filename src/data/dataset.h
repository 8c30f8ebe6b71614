// What a model learns from: two streams of token ids, the tokenizer that made them, and where each
// token came from. Read-only; a copy is cheap and shares the tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "data/dataset_manifest.h"
#include "data/token_stream.h"
#include "text/tokenizer.h"

namespace belay::data {

class Dataset {
 public:
  /// What `belay data prepare` wrote, mapped. Every byte is read and compared with its checksum;
  /// nothing in the folder is trusted. Errors name the file and the field.
  static base::Result<Dataset> open(base::Env& env, const std::string& folder);

  /// Texts in memory whose bytes are the token ids (Tokenizer::bytes()); empty ones are left out.
  /// `name` is what messages call them.
  static Dataset of_bytes(std::vector<std::string> train_documents,
                          std::vector<std::string> valid_documents, std::string name);
  /// The same through a tokenizer; no end-of-text is put between the texts.
  static Dataset of_texts(text::Tokenizer tokenizer,
                          std::span<const std::string_view> train_documents,
                          std::span<const std::string_view> valid_documents, std::string name);

  const TokenStream& train() const { return split(Split::kTrain); }
  /// May be empty.
  const TokenStream& valid() const { return split(Split::kValid); }
  const TokenStream& split(Split split) const;
  const text::Tokenizer& tokenizer() const;
  /// Ids are below it.
  std::int64_t vocab_size() const { return tokenizer().vocab_size(); }
  const std::string& name() const;
  /// Follows from the tokenizer, the ids and the borders of documents.
  std::uint64_t fingerprint() const;
  /// "books.txt, document 12, byte 3456" for messages: the byte counts in the whole text of the
  /// file.
  std::string locate(Split split, std::int64_t token) const;
  /// Tokens for training without repetitions of documents: of a mixture less than
  /// train().n_tokens().
  std::int64_t unique_train_tokens() const;
  /// The manifest of a prepared dataset; null for one of bytes.
  const DatasetManifest* manifest() const;

 private:
  struct State;
  explicit Dataset(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// Fails when the training split holds less than a batch: a run would see nothing but the same
/// tokens.
base::Status check_long_enough(const Dataset& dataset, std::int64_t context,
                               std::int64_t batch_tokens);

}  // namespace belay::data
