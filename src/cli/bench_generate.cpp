#include "cli/bench_generate.h"

#include <fmt/core.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "bench/generate_bench.h"
#include "bench/random_weights.h"
#include "cli/text_model.h"
#include "model/gguf_model.h"

namespace belay::cli {
namespace {

using base::Result;

struct BenchGenerateArguments {
  std::string shape = "Q", model;
  int bits = 16;
  bench::GenerateBenchOptions bench;
  bool json = false;
  ComputeOptions compute;
};

base::Status check(const BenchGenerateArguments& o) {
  for (const auto& [name, value, least, most] :
       {std::tuple{"--prompt", o.bench.prompt, std::int64_t{1}, std::int64_t{1} << 20},
        {"--tokens", o.bench.tokens, 2, 1 << 20},
        {"--rows", o.bench.rows, 1, 4096},
        {"--repeats", static_cast<std::int64_t>(o.bench.repeats), 1, 1000}}) {
    BELAY_RETURN_IF_ERROR(check_range(name, value, least, most));
  }
  if (o.bits != 16 && o.bits != 8 && o.bits != 4) {
    return base::invalid_argument({.where = "--bits",
                                   .what = "is not a size that weights can have",
                                   .seen = std::to_string(o.bits),
                                   .allowed = "16, 8, 4"});
  }
  return check_kv_bits(o.bench.kv_bits);
}

/// The model of a folder, or random weights of a shape.
Result<std::pair<std::string, model::Model>> make(Verbs& verbs, Compute& compute,
                                                  const BenchGenerateArguments& o) {
  const std::int64_t longest = o.bench.prompt + o.bench.tokens + 1;
  if (!o.model.empty()) {
    BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, o.model));
    BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(verbs.env, path));
    BELAY_RETURN_IF_ERROR(
        check_range("--prompt and --tokens together", longest, 1, weights->config().max_position));
    BELAY_ASSIGN_OR_RETURN(model::Model model, load_model(verbs.env, compute, *weights, longest));
    return std::pair(o.model, std::move(model));
  }
  BELAY_ASSIGN_OR_RETURN(const bench::GenerateShape shape, bench::generate_shape(o.shape));
  const bench::RandomWeights weights(shape.config,
                                     bench::random_types(shape.config, compute.dtype, o.bits));
  BELAY_ASSIGN_OR_RETURN(model::Model model, load_model(verbs.env, compute, weights, longest));
  return std::pair(fmt::format("{} ({}), weights of {} bits", shape.name, shape.about(), o.bits),
                   std::move(model));
}

Result<ExitCode> run(Verbs& verbs, const BenchGenerateArguments& o) {
  BELAY_RETURN_IF_ERROR(check(o));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  BELAY_ASSIGN_OR_RETURN(const auto made, make(verbs, compute, o));
  const auto& [name, model] = made;
  const bench::GenerateResult result =
      bench::bench_generate(compute.ctx, verbs.env, model, o.bench);
  const bench::Machine machine{std::string(base::isa_name(compute.ctx.isa)),
                               std::string(tensor::dtype_name(compute.dtype)),
                               compute.threads->size()};
  if (o.json) {
    print_json(bench::generate_json(machine, name, o.bench, result));
  } else {
    std::fputs(bench::generate_text(machine, name, o.bench, result).c_str(), stdout);
  }
  return ExitCode::kDone;
}

void add(Verbs& verbs, Verb parent, bench::GenerateKind kind) {
  auto options = std::make_shared<BenchGenerateArguments>();
  BenchGenerateArguments& o = *options;
  o.bench.kind = kind;
  const bool decode = kind == bench::GenerateKind::kDecode;
  if (decode) o.bench.prompt = 16;
  Verb verb = verbs.add(
      parent,
      decode
          ? VerbInfo{.name = "decode",
                     .about =
                         "Token after token of texts that run at once, against the memory's rate",
                     .examples = {"bench decode --shape Q --dtype bf16",
                                  "bench decode --shape m --rows 16 --json"}}
          : VerbInfo{.name = "prefill",
                     .about = "A prompt until its first token, against the product's rate",
                     .examples = {"bench prefill --shape Q --prompt 512",
                                  "bench prefill --model runs/a/model --json"}},
      [&verbs, options] { return run(verbs, *options); });
  verb.option("--shape", o.shape, "Q (Qwen3-0.6B's) or m (36 million parameters), random weights")
      .type("NAME");
  verb.option("--model", o.model, "Instead of a shape: a model folder, or a run's")
      .type("MODEL|RUN");
  verb.option("--bits", o.bits, "Of a shape's weights: 16 (the compute type), 8 or 4");
  verb.option("--prompt", o.bench.prompt, "Ids of each prompt");
  if (decode) {
    verb.option("--tokens", o.bench.tokens, "Tokens of each text");
    verb.option("--rows", o.bench.rows, "Texts at once");
  }
  add_kv_bits_option(verb, o.bench.kv_bits);
  verb.option("--repeats", o.bench.repeats, "Runs that are timed, after one that is not");
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
}

}  // namespace

void add_bench_generate(Verbs& verbs, Verb parent) {
  add(verbs, parent, bench::GenerateKind::kPrefill);
  add(verbs, parent, bench::GenerateKind::kDecode);
}

}  // namespace belay::cli
