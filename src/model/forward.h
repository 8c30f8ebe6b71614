// The forward of every model, written once: training, scoring and generation record it on a tape.
// Families differ by the flags of ModelConfig (QK-norm, biases, tied embeddings, rotary scaling).
#pragma once

#include <vector>

#include "model/model.h"

namespace belay::model {

/// Packed documents: token t of document d has position t - start(d).
struct BatchIds {
  tensor::Id ids;        // i32 [T]
  tensor::Id positions;  // i32 [T]
  tensor::Id docs;       // i32: number of documents, their first tokens, T (ops/attention.h)
};

/// Keys and values of sequences' pasts in pages, and the rows that go on from them
/// (ops/attention.h).
struct CacheIds {
  tensor::Id segments = tensor::kNone;
  std::vector<tensor::Id> pages;  // a layer
  int kv_bits = 0;                // of what they hold: 8, or 0 for the compute type
};

/// What the matrix of that role in a layer (the output layer: kHead, -1) multiplies: [T, in], in
/// the compute type.
struct MatrixInput {
  Role role;
  std::int64_t layer;
  tensor::Id x;
};

struct ForwardOptions {
  std::int64_t longest = 0;  // tokens of the longest document (or cache capacity)
  bool checkpoint = false;   // keep only the residual stream between blocks; compute blocks again
  const CacheIds* cache = nullptr;  // attend to it instead of to packed documents
  std::vector<tensor::Id>* taps =
      nullptr;  // receives the residual stream before each block and at the end
  std::vector<MatrixInput>* inputs = nullptr;   // receives what matrices multiply, kept
  std::int64_t first_input = 0, end_input = 0;  // of these layers; of -1: the output layer's
};

/// Records the model on the tape; returns the normalized last hidden state [T, C] in the compute
/// type.
tensor::Id forward(tensor::Tape& tape, const Model& model, const BatchIds& batch,
                   const ForwardOptions& options);

/// The output matrix: the head, or the tied embedding bound by an earlier forward on this tape.
ops::Matrix bind_head(tensor::Tape& tape, const Model& model);

}  // namespace belay::model
