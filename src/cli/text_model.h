// A model with its tokenizer, as `belay sample` and `belay score --file` load them.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "cli/compute.h"
#include "infer/engine.h"
#include "model/gguf_model.h"
#include "model/load.h"
#include "text/tokenizer.h"

namespace belay::cli {

/// MODEL itself, or RUN/model where the path is a run folder. Fails for a run that has not saved
/// yet.
base::Result<std::string> model_path(base::Env& env, const std::string& path);

/// The tokenizer of a model folder or GGUF file: its tokenizer.json, or its keys, or bytes where
/// there is none and the vocabulary is 256. Its ids are in the model's vocabulary.
base::Result<text::Tokenizer> open_tokenizer(base::Env& env, const std::string& model_path,
                                             std::int64_t vocab_size);

/// The ids that a document begins with: what the tokenizer's template puts before a text ("<s>" of
/// Llama 2), else end-of-text, as in training, where it has one; else none.
std::vector<std::int32_t> document_begin(const text::Tokenizer& tokenizer);

/// The ids that end a text: the model's and the tokenizer's.
std::vector<std::int32_t> stop_ids(const model::ModelConfig& config,
                                   const text::Tokenizer& tokenizer);

/// Adds --quantize.
void add_quantize_option(Verb verb, int& bits);
base::Status check_quantize(int bits);

/// Adds --kv-bits.
void add_kv_bits_option(Verb verb, int& bits);
base::Status check_kv_bits(int bits);

/// The model for inference, with room for documents of `longest` tokens (0: all that it allows), at
/// `bits` 8 or 4 (0: as it is stored). Fails when it does not fit in memory, before its weights are
/// read.
base::Result<model::Model> load_model(base::Env& env, Compute& compute,
                                      const model::WeightSource& weights, std::int64_t longest,
                                      int bits = 0);

/// Fails where the pages and activations of an engine for one text do not fit in memory beside the
/// model, before they are taken.
base::Status check_engine_fits(base::Env& env, Compute& compute, const model::Model& model,
                               const infer::EngineOptions& options);

}  // namespace belay::cli
