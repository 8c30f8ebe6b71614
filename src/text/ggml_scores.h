// SentencePiece's BPE by scores as merges with ranks, and the other way.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace belay::text {

/// Every way to cut a token in two tokens is a merge, ranked by the token's score, the highest
/// first. Tokens where `mergeable` is false take no part. Two tokens of one score are kUnsupported
/// (which goes first depends on where they stand), but for the runs of one character that Llama 2
/// has.
base::Result<std::vector<Merge>> merges_of_scores(const std::vector<std::string>& tokens,
                                                  const std::vector<float>& scores,
                                                  const std::vector<bool>& mergeable,
                                                  const std::string& name);

/// Scores for which merges_of_scores gives these merges in this order (merges of one token have
/// neighbouring ranks). kUnsupported where there are none.
base::Result<std::vector<float>> scores_of_merges(const TokenizerSpec& spec,
                                                  const std::vector<bool>& mergeable,
                                                  const std::string& name);

}  // namespace belay::text
