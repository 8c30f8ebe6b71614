// belay sample: a prompt, continued token by token.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/sampler_options.h"
#include "cli/text_model.h"
#include "cli/verbs.h"
#include "infer/continuation.h"
#include "model/hf_folder.h"
#include "text/utf8_stream.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::ordered_json;

constexpr std::int64_t kMostContext = 4096;  // cached at a time, unless asked otherwise

struct SampleArguments {
  std::string model, prompt;
  infer::ContinuationOptions text{.max_tokens = 100, .sampler = {.temperature = 0.8, .seed = 1}};
  std::int64_t context = 0;
  int quantize = 0, kv_bits = 0;
  bool json = false;
  ComputeOptions compute;
};

base::Status check_options(const SampleArguments& o) {
  BELAY_RETURN_IF_ERROR(infer::validate(o.text.sampler, "--"));
  BELAY_RETURN_IF_ERROR(check_quantize(o.quantize));
  BELAY_RETURN_IF_ERROR(check_kv_bits(o.kv_bits));
  for (const auto& [name, value, least] :
       {std::tuple{"--max-tokens", o.text.max_tokens, 1}, {"--context", o.context, 0}}) {
    BELAY_RETURN_IF_ERROR(check_range(name, value, least, 1 << 24));
  }
  return {};
}

/// The prompt as the beginning of a document.
Result<std::vector<std::int32_t>> prompt_ids(const text::Tokenizer& tokenizer,
                                             const std::string& prompt) {
  std::vector<std::int32_t> ids = document_begin(tokenizer);
  tokenizer.encode(prompt, ids);
  if (!ids.empty()) return ids;
  return base::invalid_argument({.where = "--prompt",
                                 .what = "is empty, and the tokenizer has no token to begin a "
                                         "document with",
                                 .next = "give a prompt of at least one byte"});
}

void show(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

ordered_json report(const SampleArguments& o, const text::Tokenizer& tokenizer,
                    const infer::Continuation& made, double seconds) {
  text::Utf8Stream stream;
  std::string text = stream.push(tokenizer.decode(made.ids));
  text += stream.finish();
  ordered_json made_of = {{"prompt", o.prompt},
                          {"text", text},
                          {"ids", made.ids},
                          {"n_tokens", made.ids.size()},
                          {"ended_by", made.stopped ? "end of text" : "max tokens"},
                          {"seconds", seconds},
                          {"model", o.model}};
  if (o.kv_bits > 0) made_of["kv_bits"] = o.kv_bits;
  add_sampler(made_of, o.text.sampler);
  return made_of;
}

Result<ExitCode> run(Verbs& verbs, SampleArguments o) {
  BELAY_RETURN_IF_ERROR(check_options(o));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, o.model));
  const std::int64_t most = o.context > 0 ? o.context : kMostContext;
  BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(verbs.env, path));
  const model::ModelConfig& config = weights->config();
  BELAY_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                         open_tokenizer(verbs.env, path, config.vocab_size));
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> prompt, prompt_ids(tokenizer, o.prompt));
  o.text.vocab_size = tokenizer.vocab_size();
  o.text.stop_ids = stop_ids(config, tokenizer);
  BELAY_ASSIGN_OR_RETURN(const model::Model model,
                         load_model(verbs.env, compute, *weights, most, o.quantize));
  const infer::EngineOptions one{.sequences = 1, .kv_bits = o.kv_bits};
  BELAY_RETURN_IF_ERROR(check_engine_fits(verbs.env, compute, model, one));
  infer::Engine engine(compute.ctx, model, one);

  text::Utf8Stream stream;
  if (!o.json) show(stream.push(o.prompt));
  const double start = verbs.env.steady_seconds();
  const auto show_token = [&](std::int32_t id) {
    if (!o.json) show(stream.push(tokenizer.token_bytes(id)));
    return true;
  };
  BELAY_ASSIGN_OR_RETURN(const infer::Continuation made,
                         infer::continue_ids(engine, prompt, o.text, show_token));
  const double seconds = verbs.env.steady_seconds() - start;
  if (o.json) {
    print_json(report(o, tokenizer, made, seconds));
    return ExitCode::kDone;
  }
  show(stream.finish() + "\n");
  verbs.log.info("{} tokens{}, {} tokens a second, {}", made.ids.size(),
                 made.stopped ? ", ended by end of text" : "",
                 base::count_text(static_cast<double>(made.ids.size()) / std::max(seconds, 1e-9)),
                 compute.text());
  return ExitCode::kDone;
}

}  // namespace

void add_sample(Verbs& verbs) {
  auto options = std::make_shared<SampleArguments>();
  SampleArguments& o = *options;
  Verb verb = verbs.add(
      {.name = "sample",
       .about = "Complete a prompt, shown token by token; also of a run that still trains",
       .examples = {"sample runs/a/model --prompt \"It was\" --max-tokens 100 --seed 1",
                    "sample runs/a --prompt \"It was\" --temperature 0 --json",
                    "sample model --prompt \"Once\" --top-k 40 --top-p 0.95"}},
      [&verbs, options] { return run(verbs, *options); });
  verb.option("model", o.model, "Hugging Face folder, a GGUF file, or a run folder")
      .required()
      .type("MODEL|RUN");
  verb.option("--prompt", o.prompt, "The text to go on from").type("TEXT");
  const auto add = [&verb](const char* name, auto& value, const char* about) {
    verb.option(name, value, about);
  };
  add("--max-tokens", o.text.max_tokens, "Tokens that are added, unless end-of-text comes before");
  add_sampler_options(verb, o.text.sampler);
  add("--context", o.context,
      "Tokens looked back at; 0: the model's most, up to 4096. When they are full, half is kept");
  add_quantize_option(verb, o.quantize);
  add_kv_bits_option(verb, o.kv_bits);
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
}

}  // namespace belay::cli
