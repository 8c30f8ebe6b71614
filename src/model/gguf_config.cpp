#include "model/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "base/json.h"

namespace belay::model {
namespace {

using base::Code;
using base::Result;
using base::Status;
using store::GgufFile;
using store::GgufTensor;

constexpr std::array<std::string_view, 20> kRead = {"vocab_size",
                                                    "context_length",
                                                    "embedding_length",
                                                    "block_count",
                                                    "feed_forward_length",
                                                    "attention.head_count",
                                                    "attention.head_count_kv",
                                                    "attention.key_length",
                                                    "attention.value_length",
                                                    "attention.layer_norm_rms_epsilon",
                                                    "attention.sliding_window",
                                                    "rope.dimension_count",
                                                    "rope.freq_base",
                                                    "rope.scaling.type",
                                                    "rope.scaling.factor",
                                                    "rope.scale_linear",
                                                    "rope.scaling.original_context_length",
                                                    "expert_count",
                                                    "expert_used_count",
                                                    "attention.causal"};
constexpr std::array<std::string_view, 2> kIgnored = {"rope.scaling.finetuned",
                                                      "tensor_data_layout"};

class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, std::string_view architecture, Family family)
      : file_(file), prefix_(std::string(architecture) + ".") {
    config_.family = family;
  }

  Result<ModelConfig> run() {
    BELAY_RETURN_IF_ERROR(check_keys());
    BELAY_RETURN_IF_ERROR(check_others());
    BELAY_RETURN_IF_ERROR(read_sizes());
    BELAY_RETURN_IF_ERROR(read_heads());
    BELAY_RETURN_IF_ERROR(read_rope());
    BELAY_RETURN_IF_ERROR(read_rope_factors());
    read_flags();
    BELAY_RETURN_IF_ERROR(read_token_ids());
    BELAY_RETURN_IF_ERROR(validate(config_, file_.path()));
    return config_;
  }

 private:
  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  bool has_tensor(std::string_view name) const { return file_.find(name) != nullptr; }

  Status check_keys() const {
    for (const std::string_view k : file_.keys()) {
      if (!k.starts_with(prefix_)) continue;
      const std::string_view name = k.substr(prefix_.size());
      const auto among = [&](const auto& list) {
        return std::find(list.begin(), list.end(), name) != list.end();
      };
      if (among(kRead) || among(kIgnored)) continue;
      const auto near = base::nearest(name, {kRead.begin(), kRead.end()});
      return file_.error(Code::kUnsupported, k,
                         "is not known, and may change what the model computes",
                         near ? key(*near) : "");
    }
    return {};
  }

  /// Keys outside the architecture's own that ask for more than this file.
  Status check_others() const {
    BELAY_ASSIGN_OR_RETURN(const std::int64_t files,
                           file_.optional_int("split.count", 0, UINT16_MAX, 0));
    if (files > 1) {
      return file_.error(Code::kUnsupported, "split.count",
                         "says that the model lies in several "
                         "files",
                         "1", "join them first");
    }
    for (const std::string_view name : {"expert_count", "expert_used_count"}) {
      BELAY_ASSIGN_OR_RETURN(const std::int64_t n, file_.optional_int(key(name), 0, INT32_MAX, 0));
      if (n > 0) {
        return file_.error(Code::kUnsupported, key(name), "asks for a mixture of experts", "0");
      }
    }
    BELAY_ASSIGN_OR_RETURN(const bool causal, file_.optional_bool(key("attention.causal"), true));
    if (causal) return {};
    return file_.error(Code::kUnsupported, key("attention.causal"), "asks for other attention",
                       "true");
  }

  /// A number, or an array with the same number for each layer.
  Result<std::int64_t> per_layer(std::string_view name, SizeRange range) const {
    if (!file_.is_array(key(name))) return file_.require_int(key(name), range.min, range.max);
    BELAY_ASSIGN_OR_RETURN(const std::vector<std::int64_t> all,
                           file_.ints(key(name), range.min, range.max, kLayerRange.max));
    const bool same = std::all_of(all.begin(), all.end(), [&](auto n) { return n == all.front(); });
    if (same && static_cast<std::int64_t>(all.size()) == config_.n_layers) return all.front();
    return file_.error(Code::kUnsupported, key(name), "differs from layer to layer",
                       "one number for all layers");
  }

  Status read_sizes() {
    ModelConfig& c = config_;
    BELAY_ASSIGN_OR_RETURN(c.n_layers,
                           file_.require_int(key("block_count"), kLayerRange.min, kLayerRange.max));
    BELAY_ASSIGN_OR_RETURN(c.hidden_size, file_.require_int(key("embedding_length"),
                                                            kHiddenRange.min, kHiddenRange.max));
    BELAY_ASSIGN_OR_RETURN(
        c.max_position,
        file_.require_int(key("context_length"), kPositionRange.min, kPositionRange.max));
    BELAY_ASSIGN_OR_RETURN(c.ffn_size, per_layer("feed_forward_length", kFfnRange));
    const GgufTensor* embedding = file_.find("token_embd.weight");
    if (embedding == nullptr || embedding->dims.size() != 2) {
      return base::corrupt({.where = file_.path() + ": tensor 'token_embd.weight'",
                            .what = embedding == nullptr ? "is missing" : "is no matrix",
                            .allowed = "the embedding, which says how large the vocabulary is"});
    }
    c.vocab_size = embedding->dims[1];
    BELAY_ASSIGN_OR_RETURN(
        const std::int64_t said,
        file_.optional_int(key("vocab_size"), kVocabRange.min, kVocabRange.max, c.vocab_size));
    if (said == c.vocab_size) return {};
    return file_.error(Code::kCorrupt, key("vocab_size"), "contradicts tensor 'token_embd.weight'",
                       std::to_string(c.vocab_size));
  }

  Status read_heads() {
    ModelConfig& c = config_;
    BELAY_ASSIGN_OR_RETURN(c.n_heads, per_layer("attention.head_count", kHeadRange));
    c.n_kv_heads = c.n_heads;
    if (file_.has(key("attention.head_count_kv"))) {
      BELAY_ASSIGN_OR_RETURN(c.n_kv_heads, per_layer("attention.head_count_kv", kHeadRange));
    }
    const std::int64_t usual = c.hidden_size / c.n_heads;
    for (const std::string_view name :
         {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
      const bool first = name == "attention.key_length";
      BELAY_ASSIGN_OR_RETURN(const std::int64_t n,
                             file_.optional_int(key(name), kHeadDimRange.min, kHeadDimRange.max,
                                                first ? usual : c.head_dim));
      if (first) {
        c.head_dim = n;
      } else if (n != c.head_dim) {
        return file_.error(Code::kUnsupported, key(name), "is not the width of a head",
                           std::to_string(c.head_dim));
      }
    }
    BELAY_ASSIGN_OR_RETURN(
        const double eps,
        file_.require_double(key("attention.layer_norm_rms_epsilon"), 0, kMaxNormEps));
    c.norm_eps = static_cast<float>(eps);
    if (!file_.has(key("attention.sliding_window"))) return {};
    BELAY_ASSIGN_OR_RETURN(const std::int64_t window,
                           file_.require_int(key("attention.sliding_window"), 0, INT64_MAX));
    if (window == 0 || window >= c.max_position) return {};
    return file_.error(Code::kUnsupported, key("attention.sliding_window"),
                       "asks for sliding-window attention",
                       "at least context_length, " + std::to_string(c.max_position));
  }

  Status read_rope() {
    BELAY_ASSIGN_OR_RETURN(config_.rope_theta,
                           file_.optional_double(key("rope.freq_base"), 1, kMaxRopeTheta, 10000));
    BELAY_ASSIGN_OR_RETURN(const std::string type,
                           file_.optional_string(key("rope.scaling.type"), "linear"));
    if (type == "none") return {};
    if (type != "linear") {
      return file_.error(Code::kUnsupported, key("rope.scaling.type"),
                         "is a scaling that is not implemented",
                         "none, or Llama 3's as tensor 'rope_freqs.weight'");
    }
    for (const std::string_view name : {"rope.scaling.factor", "rope.scale_linear"}) {
      BELAY_ASSIGN_OR_RETURN(const double factor, file_.optional_double(key(name), 0, 1e6, 1));
      if (factor == 0 || factor == 1) continue;
      return file_.error(Code::kUnsupported, key(name), "asks for linear scaling of positions",
                         "1");
    }
    return {};
  }

  /// The factors follow from four numbers, of which llama.cpp's files hold none and ours all: with
  /// these, or with those of the published models, they must come out the same.
  Status read_rope_factors() {
    const GgufTensor* tensor = file_.find(kRopeFactors);
    if (tensor == nullptr) return {};
    const std::int64_t n = config_.head_dim / 2;
    if (tensor->type_id != 0 || tensor->dims != std::vector<std::int64_t>{n}) {
      return base::corrupt({.where = file_.where(*tensor),
                            .what = "is not what the head's width asks for",
                            .allowed = std::to_string(n) + " numbers of type F32"});
    }
    std::vector<float> stored(static_cast<std::size_t>(n));
    std::memcpy(stored.data(), file_.bytes(*tensor).data(), stored.size() * sizeof(float));
    const float largest = *std::max_element(stored.begin(), stored.end());
    Llama3Rope rope;
    const auto real = [&](std::string_view name, double fallback) {
      return file_.optional_double("belay.rope.llama3." + std::string(name), 1e-6, 1e6, fallback);
    };
    BELAY_ASSIGN_OR_RETURN(rope.factor, real("factor", static_cast<double>(largest)));
    BELAY_ASSIGN_OR_RETURN(rope.low_freq_factor, real("low_freq_factor", 1));
    BELAY_ASSIGN_OR_RETURN(rope.high_freq_factor, real("high_freq_factor", 4));
    BELAY_ASSIGN_OR_RETURN(rope.original_max_position,
                           file_.optional_int(key("rope.scaling.original_context_length"),
                                              kPositionRange.min, kPositionRange.max, 8192));
    if (rope.factor >= 1 && rope.low_freq_factor < rope.high_freq_factor) {
      const auto factors = llama3_factors(rope, config_.rope_theta, config_.head_dim);
      if (std::equal(factors.begin(), factors.end(), stored.begin(),
                     [](float a, float b) { return std::fabs(a - b) <= 1e-5f * std::fabs(a); })) {
        config_.llama3_rope = rope;
        return {};
      }
    }
    return base::unsupported({.where = file_.where(*tensor),
                              .what = "holds other factors than Llama 3's scaling gives",
                              .allowed = "those of low_freq_factor 1, high_freq_factor 4 and 8192 "
                                         "original positions"});
  }

  void read_flags() {
    ModelConfig& c = config_;
    c.qk_norm = c.family == Family::kQwen3;
    c.qkv_bias = c.family == Family::kQwen2 || has_tensor("blk.0.attn_q.bias");
    c.out_bias = has_tensor("blk.0.attn_output.bias");
    c.mlp_bias = has_tensor("blk.0.ffn_down.bias");
    c.tied_embeddings = !has_tensor("output.weight");
  }

  Status read_token_ids() {
    const auto id = [&](const char* name) -> Result<std::int32_t> {
      const std::string k = std::string("tokenizer.ggml.") + name + "_token_id";
      BELAY_ASSIGN_OR_RETURN(const std::int64_t any, file_.optional_int(k, -1, UINT32_MAX, -1));
      if (any < 0 || any == static_cast<std::int64_t>(UINT32_MAX)) return std::int32_t{-1};
      BELAY_ASSIGN_OR_RETURN(const std::int64_t known,
                             file_.require_int(k, 0, config_.vocab_size - 1));
      return static_cast<std::int32_t>(known);
    };
    BELAY_ASSIGN_OR_RETURN(config_.bos_id, id("bos"));
    for (const char* name : {"eos", "eot", "eom"}) {
      BELAY_ASSIGN_OR_RETURN(const std::int32_t end, id(name));
      auto& more = config_.more_eos_ids;
      if (config_.eos_id < 0) {
        config_.eos_id = end;
      } else if (end >= 0 && end != config_.eos_id &&
                 std::find(more.begin(), more.end(), end) == more.end()) {
        more.push_back(end);
      }
    }
    return {};
  }

  const GgufFile& file_;
  std::string prefix_;
  ModelConfig config_;
};

}  // namespace

std::string_view gguf_architecture(Family family) {
  switch (family) {
    case Family::kLlama:
    case Family::kMistral: return "llama";
    case Family::kQwen2: return "qwen2";
    case Family::kQwen3: return "qwen3";
  }
  return "?";
}

bool rotates_neighbours(Family family) { return gguf_architecture(family) == "llama"; }

Result<ModelConfig> gguf_config(const GgufFile& file) {
  BELAY_ASSIGN_OR_RETURN(const std::string kind, file.optional_string("general.type", "model"));
  if (kind != "model") {
    return file.error(Code::kUnsupported, "general.type", "says that the file is no whole model",
                      "model");
  }
  BELAY_ASSIGN_OR_RETURN(const std::string name, file.require_string("general.architecture"));
  for (const Family family : {Family::kLlama, Family::kQwen2, Family::kQwen3}) {
    if (name == gguf_architecture(family)) return ConfigReader(file, name, family).run();
  }
  return file.error(Code::kUnsupported, "general.architecture",
                    "names a model that is not supported", std::string(kGgufArchitectures));
}

std::vector<float> llama3_factors(const Llama3Rope& rope, double theta, std::int64_t head_dim) {
  const auto original = static_cast<double>(rope.original_max_position);
  std::vector<float> factors;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double length =
        2 * std::numbers::pi *
        std::pow(theta, 2 * static_cast<double>(i) / static_cast<double>(head_dim));
    double factor = rope.factor;
    if (length < original / rope.high_freq_factor) {
      factor = 1;
    } else if (length <= original / rope.low_freq_factor) {
      const double smooth = (original / length - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
      factor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

}  // namespace belay::model
