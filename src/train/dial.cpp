#include "train/dial.h"

#include <algorithm>
#include <cmath>

#include "ops/matmul.h"

namespace belay::train {
namespace {

constexpr std::int64_t kHeadDim = 64, kLeastHeads = 2;
constexpr std::int64_t kBatchTokens = 1024;
constexpr double kContextOverTheta = 4, kLeastTheta = 32;
// Muon's peak is kMuonLr * (N / 1e6)^-kMuonFall at kBatchTokens a step.
constexpr double kMuonLr = 0.0037, kMuonFall = 0.34;
constexpr double kBatchRise = 0.5;  // of the rate, in the tokens of a step
constexpr double kAdamwLr = 1.5e-3, kAdamwLrBesideMuon = 6e-3;
constexpr double kVocabParams = 2e6;
constexpr std::int64_t kLeastVocab = 1024, kMostVocab = 32768;

}  // namespace

model::ModelConfig config_of_depth(std::int64_t depth, std::int64_t vocab_size,
                                   std::int64_t context, std::int64_t width) {
  if (width == 0) width = kHeadDim * depth;
  model::ModelConfig config;
  config.family = model::Family::kQwen3;
  config.vocab_size = vocab_size;
  config.n_layers = depth;
  config.hidden_size = width;
  config.ffn_size = ops::round_up((8 * config.hidden_size + 2) / 3, 64);
  config.head_dim = kHeadDim;
  config.n_heads = config.n_kv_heads = std::max(kLeastHeads, ops::ceil_div(width, kHeadDim));
  config.max_position = context;
  config.rope_theta = dial_rope_theta(context);
  return config;
}

double dial_rope_theta(std::int64_t context) {
  return std::max(kLeastTheta, static_cast<double>(context) / kContextOverTheta);
}

Dial dial(std::int64_t n_params, std::int64_t context, bool muon, std::int64_t batch_tokens) {
  const auto n = static_cast<double>(n_params);
  Dial d;
  d.batch_tokens =
      batch_tokens > 0 ? batch_tokens : std::max(context, kBatchTokens / context * context);
  const double batch = static_cast<double>(d.batch_tokens) / kBatchTokens;
  d.muon_lr = kMuonLr * std::pow(n / 1e6, -kMuonFall) * std::pow(batch, kBatchRise);
  d.adamw_lr = muon ? kAdamwLrBesideMuon : kAdamwLr;
  d.tokens = kTokensPerParameter * n;
  d.extrapolated = n > kMostSweptParams;
  return d;
}

std::int64_t dial_vocab(double n_params) {
  std::int64_t size = kLeastVocab;
  const auto too_small = [&] {
    const double ratio = static_cast<double>(size) / static_cast<double>(kLeastVocab);
    return n_params > kVocabParams * std::pow(ratio, 1.5);
  };
  while (size < kMostVocab && too_small()) size *= 2;
  return size;
}

}  // namespace belay::train
