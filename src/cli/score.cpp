// belay score: log-probabilities of given token ids, or of a text, under a model.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/score_file.h"
#include "cli/text_model.h"
#include "data/token_ids.h"
#include "model/hf_folder.h"
#include "model/score.h"

namespace belay::cli {
namespace {

using nlohmann::ordered_json;

using Options = ScoreArguments;

ordered_json mean(double nats, std::size_t n) {
  return n == 0 ? ordered_json() : ordered_json(nats / static_cast<double>(n));
}

ordered_json document_json(const std::vector<std::int32_t>& tokens,
                           const std::vector<float>& logprobs) {
  return {{"tokens", tokens},
          {"logprobs", logprobs_json(logprobs)},
          {"nats_per_token", mean(nats_of(logprobs), logprobs.size())},
          {"n_tokens", tokens.size()}};
}

ordered_json report_json(const data::TokenIds& ids, const std::vector<std::vector<float>>& scores) {
  if (ids.one) return document_json(ids.documents[0], scores[0]);
  ordered_json documents = ordered_json::array();
  double nats = 0;
  std::size_t n_tokens = 0, n_scored = 0;
  for (std::size_t d = 0; d < scores.size(); ++d) {
    documents.push_back(document_json(ids.documents[d], scores[d]));
    nats += nats_of(scores[d]);
    n_tokens += ids.documents[d].size();
    n_scored += scores[d].size();
  }
  return {{"documents", std::move(documents)},
          {"nats_per_token", mean(nats, n_scored)},
          {"n_tokens", n_tokens}};
}

void print_text(const data::TokenIds& ids, const std::vector<std::vector<float>>& scores) {
  for (std::size_t d = 0; d < scores.size(); ++d) {
    const std::vector<std::int32_t>& tokens = ids.documents[d];
    if (ids.one) fmt::print("{:>8}  {:>8}  {:>12}\n", "position", "id", "log p");
    for (std::size_t t = 0; ids.one && t < tokens.size(); ++t) {
      const std::string p = t == 0 ? "" : fmt::format("{:.6f}", scores[d][t - 1]);
      fmt::print("{:>8}  {:>8}  {:>12}\n", t, tokens[t], p);
    }
    const double n = std::max<double>(1, static_cast<double>(scores[d].size()));
    fmt::print("document {}: {} tokens, {:.6f} nats per token\n", d, tokens.size(),
               nats_of(scores[d]) / n);
  }
}

base::Status check_options(const Options& o) {
  constexpr std::int64_t kMost = 1 << 20;
  if (o.ids.empty() == o.file.empty()) {
    return base::invalid_argument(
        {.what = o.ids.empty() ? "nothing to score was given" : "--file and --ids were both given",
         .next = "use --file TEXT, or --ids FILE.json"});
  }
  BELAY_RETURN_IF_ERROR(check_quantize(o.quantize));
  BELAY_RETURN_IF_ERROR(check_kv_bits(o.score.kv_bits));
  for (const auto& [name, value, least] : {std::tuple{"--piece", o.score.piece, 0},
                                           {"--batch-tokens", o.score.batch_tokens, 1},
                                           {"--context", o.context, 0}}) {
    BELAY_RETURN_IF_ERROR(check_range(name, value, least, kMost));
  }
  return {};
}

base::Result<ExitCode> run_ids(Verbs& verbs, const Options& o) {
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, o.model));
  BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(verbs.env, path));
  const model::ModelConfig& config = weights->config();
  BELAY_ASSIGN_OR_RETURN(
      const data::TokenIds ids,
      data::read_token_ids(verbs.env, o.ids,
                           {.vocab_size = config.vocab_size, .longest = config.max_position}));
  std::size_t longest = 0;
  for (const auto& document : ids.documents) longest = std::max(longest, document.size());
  BELAY_ASSIGN_OR_RETURN(const model::Model model, load_model(verbs.env, compute, *weights,
                                                              static_cast<std::int64_t>(longest)));
  verbs.log.info("{}: {} parameters, {}", o.model, model.config().n_params(), compute.text());
  BELAY_ASSIGN_OR_RETURN(const auto scores,
                         model::score(compute.ctx, verbs.env, model, ids.documents, o.score));
  if (!o.json) {
    print_text(ids, scores);
    return ExitCode::kDone;
  }
  ordered_json report = report_json(ids, scores);
  add_model(report, o, compute);
  print_json(report);
  return ExitCode::kDone;
}

base::Result<ExitCode> run(Verbs& verbs, const Options& o) {
  BELAY_RETURN_IF_ERROR(check_options(o));
  return o.file.empty() ? run_ids(verbs, o) : score_file(verbs, o);
}

}  // namespace

void add_score(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Verb verb =
      verbs.add({.name = "score",
                 .about = "Log-probabilities of a text, or of given token ids, under a model",
                 .examples = {"score runs/a/model --file other.txt --json",
                              "score runs/a/model --ids ids.json --json",
                              "score model --file book.txt --context 1024 --dtype f32"}},
                [&verbs, options] { return run(verbs, *options); });
  verb.option("model", o.model,
              "Hugging Face folder, a .safetensors file in one, a GGUF file, or a run")
      .required()
      .type("MODEL|RUN");
  verb.option("--file", o.file, "Text in UTF-8, one document, for the model's tokenizer")
      .type("FILE");
  verb.option("--ids", o.ids, "JSON: an array of ids, or an array of such arrays (documents)")
      .type("FILE");
  verb.option("--context", o.context,
              "Of --file: tokens of a window, where the text is longer; 0: the model's most, up "
              "to 4096");
  verb.option("--piece", o.score.piece,
              "Tokens computed at a time against cached keys and values; 0: whole documents");
  verb.option("--batch-tokens", o.score.batch_tokens, "Tokens packed at a time");
  add_quantize_option(verb, o.quantize);
  add_kv_bits_option(verb, o.score.kv_bits);
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
}

}  // namespace belay::cli
