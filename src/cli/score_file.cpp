#include "cli/score_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/cpu.h"
#include "base/progress.h"
#include "cli/text_model.h"
#include "model/hf_folder.h"
#include "model/score_long.h"
#include "text/unicode.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::ordered_json;

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kMostContext = 4096;  // of a window, unless asked otherwise

Result<std::string> read_text(base::Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(std::string text, env.read_file(path, kMaxTextBytes));
  if (text.empty()) {
    return base::corrupt({.where = path, .what = "is empty", .allowed = "at least one byte"});
  }
  const std::size_t valid = text::valid_utf8_prefix(text);
  if (valid == text.size()) return text;
  return base::corrupt({.where = fmt::format("{}: byte {}", path, valid),
                        .what = "is not UTF-8",
                        .seen = base::printable(std::string_view(text).substr(valid, 4)),
                        .next = "convert the file, for example with iconv -t UTF-8"});
}

/// What a text costs. Where a document begins with no token of its own, nothing stands before the
/// first one of the text: it counts as one among all tokens.
struct Cost {
  double nats = 0;  // of the tokens that were predicted
  double bits_per_byte = 0;
};

Cost cost_of(const std::vector<float>& logprobs, const text::Tokenizer& tokenizer,
             std::size_t n_bytes) {
  Cost cost;
  cost.nats = nats_of(logprobs);
  double all = cost.nats;
  if (document_begin(tokenizer).empty())
    all += std::log(static_cast<double>(tokenizer.vocab_size()));
  cost.bits_per_byte = all / std::numbers::ln2 / static_cast<double>(n_bytes);
  return cost;
}

Result<std::vector<float>> score_with_progress(Verbs& verbs, Compute& compute,
                                               const model::Model& model,
                                               const std::vector<std::int32_t>& ids,
                                               const ScoreArguments& a, std::int64_t context) {
  base::Progress progress(verbs.env);
  const double start = verbs.env.steady_seconds();
  return model::score_long(
      compute.ctx, verbs.env, model, ids, context, a.score, [&](std::size_t done) {
        if (done + 1 == ids.size()) return progress.clear();
        const double seconds = std::max(1e-9, verbs.env.steady_seconds() - start);
        const std::string counter = fmt::format("token {}/{}", done, ids.size());
        progress.update({.fraction = static_cast<double>(done) / static_cast<double>(ids.size()),
                         .counter = counter,
                         .rate = static_cast<double>(done) / seconds,
                         .unit = "tok/s"});
      });
}

}  // namespace

double nats_of(const std::vector<float>& logprobs) {
  double nats = 0;
  for (const float p : logprobs) nats -= static_cast<double>(p);
  return nats;
}

ordered_json logprobs_json(const std::vector<float>& logprobs) {
  ordered_json list = {nullptr};
  for (const float p : logprobs) list.push_back(std::stod(fmt::format("{}", p)));
  return list;
}

void add_model(ordered_json& report, const ScoreArguments& arguments, const Compute& compute) {
  report["model"] = arguments.model;
  report["dtype"] = tensor::dtype_name(compute.dtype);
  if (arguments.score.kv_bits > 0) report["kv_bits"] = arguments.score.kv_bits;
  report["isa"] = base::isa_name(compute.ctx.isa);
}

Result<ExitCode> score_file(Verbs& verbs, const ScoreArguments& a) {
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, a.model));
  BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(verbs.env, path));
  const model::ModelConfig& config = weights->config();
  BELAY_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                         open_tokenizer(verbs.env, path, config.vocab_size));
  BELAY_ASSIGN_OR_RETURN(const std::string text, read_text(verbs.env, a.file));
  std::vector<std::int32_t> ids = document_begin(tokenizer);
  tokenizer.encode(text, ids);
  const std::int64_t context =
      std::clamp<std::int64_t>(a.context > 0 ? a.context : kMostContext, 2, config.max_position);
  BELAY_ASSIGN_OR_RETURN(const model::Model model,
                         load_model(verbs.env, compute, *weights, context, a.quantize));
  verbs.log.info("{}: {} parameters, {}", a.model, model.config().n_params(), compute.text());
  BELAY_ASSIGN_OR_RETURN(const std::vector<float> logprobs,
                         score_with_progress(verbs, compute, model, ids, a, context));
  const Cost cost = cost_of(logprobs, tokenizer, text.size());
  const auto n = static_cast<double>(std::max<std::size_t>(1, logprobs.size()));
  if (!a.json) {
    fmt::print("{}: {} bytes, {} tokens, {:.6f} nats per token, {:.6f} bits per byte\n", a.file,
               text.size(), ids.size(), cost.nats / n, cost.bits_per_byte);
    return ExitCode::kDone;
  }
  ordered_json report = {
      {"tokens", ids},
      {"logprobs", logprobs_json(logprobs)},
      {"nats_per_token", logprobs.empty() ? ordered_json() : ordered_json(cost.nats / n)},
      {"bits_per_byte", cost.bits_per_byte},
      {"n_tokens", ids.size()},
      {"n_bytes", text.size()},
      {"context", context}};
  add_model(report, a, compute);
  print_json(report);
  return ExitCode::kDone;
}

}  // namespace belay::cli
