// belay quantize: a model at 8 or 4 bits as a GGUF file, and what that costs on a text.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/units.h"
#include "cli/text_model.h"
#include "cli/verbs.h"
#include "convert/gguf_export.h"
#include "convert/quantize.h"
#include "data/embedded_corpus.h"
#include "model/gguf_model.h"
#include "text/unicode.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kMostTokens = 1 << 24;
constexpr std::int64_t kFewestCalibration = 1024;
constexpr std::int64_t kMomentBytes = std::int64_t{1} << 28;  // more passes over the text beyond
constexpr std::size_t kBytesAToken = 16;  // of text that is read for each token wanted

struct QuantizeArguments {
  std::string model, out, compare, eval_text, calibrate;
  int bits = 8, vocab_bits = 8;
  std::int64_t eval_tokens = 4096, context = 256, calibrate_tokens = 32768;
  bool per_layer = false, json = false;
  ComputeOptions compute;
};

Status check_calibration(const QuantizeArguments& o) {
  if (o.calibrate.empty()) return {};
  BELAY_RETURN_IF_ERROR(
      check_range("--calibrate-tokens", o.calibrate_tokens, kFewestCalibration, kMostTokens));
  if (o.bits != 4 && o.vocab_bits != 4) {
    return base::invalid_argument({.where = "--calibrate",
                                   .what = "changes only what is rounded to 4 bits",
                                   .next = "leave it away, or use --bits 4"});
  }
  if (o.calibrate != o.eval_text) return {};
  return base::invalid_argument({.where = "--eval-text",
                                 .what = "is the text of --calibrate",
                                 .seen = base::printable(o.eval_text),
                                 .next = "measure on a text that the rounding did not see"});
}

Status check_options(const QuantizeArguments& o) {
  if (o.bits != 8 && o.bits != 4) return out_of_range("--bits", std::to_string(o.bits), "8, 4");
  if (o.vocab_bits != 8 && o.vocab_bits != 6 && o.vocab_bits != 4) {
    return out_of_range("--vocab-bits", std::to_string(o.vocab_bits), "8, 6, 4");
  }
  BELAY_RETURN_IF_ERROR(check_range("--eval-tokens", o.eval_tokens, 2, kMostTokens));
  BELAY_RETURN_IF_ERROR(check_range("--context", o.context, 2, 1 << 16));
  BELAY_RETURN_IF_ERROR(check_calibration(o));
  if (o.out.empty() == o.compare.empty()) {
    return base::invalid_argument({.where = "--out, --compare",
                                   .what = o.out.empty() ? "are both absent" : "exclude each other",
                                   .allowed = "one of them"});
  }
  if (o.out.empty() || model::is_gguf_path(o.out)) return {};
  return base::invalid_argument({.where = "--out",
                                 .what = "does not end in .gguf",
                                 .seen = base::printable(o.out),
                                 .next = "8 and 4 bits are written as GGUF"});
}

/// Blocks of 6 bits are of 256 weights.
Status check_vocab_bits(const QuantizeArguments& o, const model::ModelConfig& config) {
  if (o.vocab_bits != 6 || config.hidden_size % 256 == 0) return {};
  return base::invalid_argument({.where = "--vocab-bits",
                                 .what = "is 6, but rows are no whole blocks",
                                 .seen = "width " + std::to_string(config.hidden_size),
                                 .allowed = "a multiple of 256",
                                 .next = "use 8 or 4"});
}

/// The text that both models predict, and how many bytes its predicted tokens are.
struct EvalText {
  std::vector<std::int32_t> ids;
  std::int64_t window = 0, vocab = 0;
  double n_bytes = 0;
};

/// Tokens of --calibrate.
Result<convert::CalibrationText> calibration_text(base::Env& env, const QuantizeArguments& o,
                                                  const text::Tokenizer& tokenizer,
                                                  const model::ModelConfig& config) {
  BELAY_ASSIGN_OR_RETURN(std::string text, env.read_file(o.calibrate, kMaxTextBytes));
  const auto wanted = static_cast<std::size_t>(o.calibrate_tokens);
  text.resize(text::valid_utf8_prefix(std::string_view(text).substr(0, wanted * kBytesAToken)));
  convert::CalibrationText c{document_begin(tokenizer), std::min(o.context, config.max_position)};
  tokenizer.encode(text, c.ids);
  c.ids.resize(std::min(c.ids.size(), wanted));
  if (std::ssize(c.ids) >= std::max(c.window, kFewestCalibration)) return c;
  return base::invalid_argument(
      {.where = o.calibrate,
       .what = "is too short to calibrate with",
       .seen = std::to_string(c.ids.size()) + " tokens",
       .allowed =
           "at least " + std::to_string(std::max(c.window, kFewestCalibration)) + ", in UTF-8"});
}

Result<EvalText> eval_text(base::Env& env, const QuantizeArguments& o,
                           const text::Tokenizer& tokenizer, const model::ModelConfig& config) {
  std::string text;
  if (o.eval_text.empty()) {
    text = data::embedded_corpus().valid;
  } else {
    BELAY_ASSIGN_OR_RETURN(text, env.read_file(o.eval_text, kMaxTextBytes));
  }
  const auto wanted = static_cast<std::size_t>(o.eval_tokens);
  text.resize(text::valid_utf8_prefix(std::string_view(text).substr(0, wanted * kBytesAToken)));
  EvalText eval;
  eval.ids = document_begin(tokenizer);
  const std::size_t begin = eval.ids.size();
  tokenizer.encode(text, eval.ids);
  eval.ids.resize(std::min(eval.ids.size(), begin + wanted));
  if (eval.ids.size() < 2) {
    return base::invalid_argument({.where = o.eval_text.empty() ? "--eval-text" : o.eval_text,
                                   .what = "has nothing to predict",
                                   .seen = std::to_string(eval.ids.size()) + " tokens",
                                   .allowed = "at least 2, in UTF-8"});
  }
  eval.window = std::min({o.context, config.max_position, std::ssize(eval.ids)});
  eval.vocab = tokenizer.vocab_size();
  for (std::size_t i = 1; i < eval.ids.size(); ++i) {
    if (i % static_cast<std::size_t>(eval.window) == 0) continue;  // first of a window
    eval.n_bytes += static_cast<double>(tokenizer.token_bytes(eval.ids[i]).size());
  }
  return eval;
}

double bits_per_byte(double nats, const EvalText& eval) {
  return nats / std::numbers::ln2 / std::max(1.0, eval.n_bytes);
}

Status refuse_quantized(const std::string& path, const model::StoredTypes& types) {
  if (std::none_of(types.begin(), types.end(), tensor::is_quantized)) return {};
  return base::unsupported({.where = path,
                            .what = "is quantized already",
                            .next = "quantize the model that it was made from"});
}

/// KL when only the matrices of one layer (-1: embedding and output layer) are quantized.
Result<ordered_json> layers_json(Verbs& verbs, Compute& compute, const QuantizeArguments& o,
                                 const model::WeightSource& weights, const model::Model& original,
                                 const EvalText& eval) {
  const auto table = model::weight_table(weights.config());
  const model::StoredTypes stored = model::stored_types(weights);
  const model::StoredTypes all =
      model::quantized_types(weights.config(), stored, convert::type_of_bits(o.bits));
  ordered_json rows = ordered_json::array();
  for (std::int64_t layer = -1; layer < weights.config().n_layers; ++layer) {
    model::StoredTypes types = stored;
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (table[i].layer == layer) types[i] = all[i];
    }
    const convert::QuantizedWeights rounded(compute.ctx.isa, weights, types);
    BELAY_ASSIGN_OR_RETURN(const model::Model one,
                           load_model(verbs.env, compute, rounded, eval.window));
    const auto d =
        convert::text_divergence(compute.ctx, original, one, eval.ids, eval.window, eval.vocab);
    rows.push_back({{"layer", layer},
                    {"mean_kl", d.mean_kl},
                    {"bits_per_byte", bits_per_byte(d.nats_b, eval)}});
  }
  return rows;
}

void print_text(const ordered_json& r) {
  const auto name = r["out"].get<std::string>();
  if (r.contains("bytes")) {
    fmt::print("{}: {}, {:.2f} bits a weight\n", name,
               base::bytes_text(r["bytes"].get<std::uint64_t>()),
               r["bits_per_weight"].get<double>());
  } else {
    fmt::print("{}\n", name);
  }
  if (const std::size_t n = r.contains("in_f16") ? r["in_f16"].size() : 0; n > 0) {
    fmt::print("{} matrices in f16: their rows are no whole blocks\n", n);
  }
  fmt::print(
      "over {} predictions: {:.4f} bits per byte, of the model {:.4f}; mean KL {:.3g} nats\n",
      r["predictions"].get<std::size_t>(), r["bits_per_byte"].get<double>(),
      r["bits_per_byte_of_model"].get<double>(), r["mean_kl"].get<double>());
  if (!r.contains("layers")) return;
  fmt::print("{:>8}  {:>10}  only this layer quantized\n", "layer", "mean KL");
  for (const auto& row : r["layers"]) {
    const auto layer = row["layer"].get<std::int64_t>();
    fmt::print("{:>8}  {:>10.3g}\n", layer < 0 ? "vocab" : std::to_string(layer),
               row["mean_kl"].get<double>());
  }
}

/// Writes the file, some rows at a time; `original` is read for a calibration alone.
Status write(base::Env& env, Compute& compute, const QuantizeArguments& o,
             const model::WeightSource& weights, const text::Tokenizer& tokenizer,
             const model::Model& original, ordered_json& report) {
  convert::GgufExport how{
      .type = ops::BlockType::kF16, .name = base::base_name(o.model), .keep_blocks = true};
  if (o.vocab_bits == 6) how.vocab_type = ops::BlockType::kQ6_K;
  const model::StoredTypes types = convert::file_types(weights, o.bits, o.vocab_bits);
  const auto exported = [&](const model::WeightSource& rounded) -> Status {
    BELAY_ASSIGN_OR_RETURN(const convert::GgufExported done,
                           convert::export_gguf(env, o.out, rounded, tokenizer, how));
    report["in_f16"] = done.in_f16;
    return {};
  };
  if (o.calibrate.empty()) {
    return exported(convert::QuantizedWeights(compute.ctx.isa, weights, types));
  }
  BELAY_ASSIGN_OR_RETURN(convert::CalibrationText text,
                         calibration_text(env, o, tokenizer, weights.config()));
  convert::Calibration calibration(compute.ctx, original, std::move(text), kMomentBytes);
  return exported(convert::CalibratedWeights(weights, types, calibration));
}

/// How the predictions of the model at `path` compare with those of the original.
Status compare(Verbs& verbs, Compute& compute, const model::Model& original,
               const std::string& path, const EvalText& eval, ordered_json& report) {
  BELAY_ASSIGN_OR_RETURN(const auto made, model::open_model(verbs.env, path));
  BELAY_ASSIGN_OR_RETURN(const model::Model quantized,
                         load_model(verbs.env, compute, *made, eval.window));
  const auto d =
      convert::text_divergence(compute.ctx, original, quantized, eval.ids, eval.window, eval.vocab);
  report["predictions"] = d.n_tokens;
  report["mean_kl"] = d.mean_kl;
  report["bits_per_byte"] = bits_per_byte(d.nats_b, eval);
  report["bits_per_byte_of_model"] = bits_per_byte(d.nats_a, eval);
  return {};
}

Result<ExitCode> run(Verbs& verbs, const QuantizeArguments& o) {
  BELAY_RETURN_IF_ERROR(check_options(o));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, o.model));
  BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(verbs.env, path));
  BELAY_RETURN_IF_ERROR(refuse_quantized(path, model::stored_types(*weights)));
  const model::ModelConfig& config = weights->config();
  BELAY_RETURN_IF_ERROR(check_vocab_bits(o, config));
  BELAY_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                         open_tokenizer(verbs.env, path, config.vocab_size));
  BELAY_ASSIGN_OR_RETURN(const EvalText eval, eval_text(verbs.env, o, tokenizer, config));
  BELAY_ASSIGN_OR_RETURN(const model::Model original, load_model(verbs.env, compute, *weights,
                                                                 std::max(eval.window, o.context)));
  const std::string& made = o.out.empty() ? o.compare : o.out;
  ordered_json report = {{"model", o.model}, {"out", made}};
  if (!o.out.empty()) {
    report["bits"] = o.bits;
    report["vocab_bits"] = o.vocab_bits;
    BELAY_RETURN_IF_ERROR(write(verbs.env, compute, o, *weights, tokenizer, original, report));
  }
  if (model::is_gguf_path(made)) {
    BELAY_ASSIGN_OR_RETURN(const std::uint64_t bytes, verbs.env.file_size(made));
    report["bytes"] = bytes;
    report["bits_per_weight"] =
        8 * static_cast<double>(bytes) / static_cast<double>(config.n_params());
  }
  BELAY_RETURN_IF_ERROR(compare(verbs, compute, original, made, eval, report));
  if (o.per_layer) {
    BELAY_ASSIGN_OR_RETURN(report["layers"],
                           layers_json(verbs, compute, o, *weights, original, eval));
  }
  o.json ? print_json(report) : print_text(report);
  return ExitCode::kDone;
}

}  // namespace

void add_quantize(Verbs& verbs) {
  auto options = std::make_shared<QuantizeArguments>();
  QuantizeArguments& o = *options;
  Verb verb = verbs.add(
      {.name = "quantize",
       .about = "A model at 8 or 4 bits, as a GGUF file, and what that costs on a text",
       .examples =
           {"quantize runs/a --bits 8 --out a8.gguf",
            "quantize model --bits 4 --calibrate train.txt --out a4.gguf --eval-text book.txt",
            "quantize model --compare other.gguf --json"}},
      [&verbs, options] { return run(verbs, *options); });
  verb.option("model", o.model, "Hugging Face folder, a GGUF file, or a run folder")
      .required()
      .type("MODEL|RUN");
  verb.option("--bits", o.bits, "8 or 4; 32 weights share a scale of 16 bits");
  verb.option("--vocab-bits", o.vocab_bits,
              "Of embedding and output layer: 8, 6 (GGUF's Q6_K: a smaller file, computed with in "
              "--dtype) or 4");
  verb.option("--out", o.out, "The file (.gguf) to write").type("FILE");
  verb.option("--calibrate", o.calibrate,
              "Text in UTF-8, of the kind that the model is for: round to 4 bits so that errors "
              "cancel each other on it")
      .type("FILE");
  verb.option("--calibrate-tokens", o.calibrate_tokens, "Tokens of it that are read");
  verb.option("--compare", o.compare,
              "Write nothing: measure this GGUF file or folder of the same model instead")
      .type("MODEL");
  verb.option("--eval-text", o.eval_text,
              "Text in UTF-8 that both models predict; default: the embedded novels that no model "
              "is trained on")
      .type("FILE");
  verb.option("--eval-tokens", o.eval_tokens, "Tokens of it that are predicted");
  verb.option("--context", o.context, "Tokens of a window of it");
  verb.flag("--per-layer", o.per_layer,
            "Also quantize each layer alone, in memory and not calibrated");
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
}

}  // namespace belay::cli
