// belay export: a model in another format, read back and compared with what it was made from.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/text_model.h"
#include "cli/verbs.h"
#include "convert/gguf_export.h"
#include "convert/parity.h"
#include "model/gguf_model.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kGreedyTokens = 32;
constexpr std::size_t kMostPrompt = 1024;

struct ExportArguments {
  std::string model, to, out;
  std::string dtype = "f32";
  std::string prompt = "Once upon a time, in 2024, they said: \"It's naïve.\"\n  Then";
  int threads = 0;
  bool json = false;
};

/// A model with its tokenizer.
struct Loaded {
  model::LoadedModel model;
  text::Tokenizer tokenizer;
};

Result<Loaded> load(base::Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(model::LoadedModel model, model::load_model(env, path));
  BELAY_ASSIGN_OR_RETURN(text::Tokenizer tokenizer,
                         open_tokenizer(env, path, model.config.vocab_size));
  return Loaded{std::move(model), std::move(tokenizer)};
}

Result<ops::BlockType> block_type(const std::string& dtype) {
  using ops::BlockType;
  for (const auto& [name, type] :
       {std::pair{"f32", BlockType::kF32}, std::pair{"f16", BlockType::kF16},
        std::pair{"bf16", BlockType::kBF16}, std::pair{"q8_0", BlockType::kQ8_0},
        std::pair{"q4_0", BlockType::kQ4_0}}) {
    if (dtype == name) return type;
  }
  return base::invalid_argument({.where = "--dtype",
                                 .what = "is not known",
                                 .seen = base::printable(dtype),
                                 .allowed = "f32, f16, bf16, q8_0, q4_0"});
}

Status check_options(const ExportArguments& o) {
  if (o.to != "gguf" && o.to != "hf") {
    return base::invalid_argument({.where = "--to",
                                   .what = "is not known",
                                   .seen = base::printable(o.to),
                                   .allowed = "gguf, hf"});
  }
  if ((o.to == "gguf") != model::is_gguf_path(o.out)) {
    return base::invalid_argument(
        {.where = "--out",
         .what = o.to == "gguf" ? "does not end in .gguf" : "ends in .gguf, but names a folder",
         .seen = base::printable(o.out)});
  }
  BELAY_ASSIGN_OR_RETURN(const ops::BlockType type, block_type(o.dtype));
  if (o.to == "hf" && type != ops::BlockType::kF32 && type != ops::BlockType::kBF16) {
    return base::invalid_argument({.where = "--dtype",
                                   .what = "is not written to a Hugging Face folder",
                                   .seen = o.dtype,
                                   .allowed = "f32, bf16"});
  }
  return {};
}

/// Writes it; `report` takes what there is to say of the files.
Status write(base::Env& env, const ExportArguments& o, const std::string& path, const Loaded& from,
             ordered_json& report) {
  BELAY_ASSIGN_OR_RETURN(const ops::BlockType type, block_type(o.dtype));
  if (o.to == "gguf") {
    BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(env, path));
    BELAY_ASSIGN_OR_RETURN(const convert::GgufExported done,
                           convert::export_gguf(env, o.out, *weights, from.tokenizer,
                                                {.type = type, .name = base::base_name(o.model)}));
    report["bytes"] = done.bytes;
    report["in_f16"] = done.in_f16;
    return {};
  }
  const bool half = type == ops::BlockType::kBF16;
  BELAY_RETURN_IF_ERROR(from.tokenizer.save(env, o.out));
  return model::save_hf_folder(env, o.out, from.model,
                               {.dtype = half ? tensor::DType::kBF16 : tensor::DType::kF32});
}

/// The beginning of the document that the prompt is, as the two tokenizers read it.
Result<std::vector<std::int32_t>> prompt_ids(const ExportArguments& o, const text::Tokenizer& from,
                                             const text::Tokenizer& made) {
  std::vector<std::int32_t> ids = document_begin(from), again = document_begin(made);
  from.encode(o.prompt, ids);
  made.encode(o.prompt, again);
  if (ids != again) {
    return base::corrupt({.where = o.out,
                          .what = "reads the prompt as other tokens than the model does",
                          .seen = fmt::format("{} tokens", again.size()),
                          .allowed = fmt::format("the {} of the model", ids.size()),
                          .next = "do not use this file"});
  }
  if (ids.empty()) {
    return base::invalid_argument(
        {.where = "--prompt", .what = "is empty", .allowed = "at least one token"});
  }
  ids.resize(std::min(ids.size(), kMostPrompt));
  return ids;
}

void add_parity(const convert::Parity& parity, ordered_json& report) {
  report["largest_weight_difference"] = parity.weights.largest;
  report["in_weight"] = parity.weights.where;
  report["greedy_ids"] = parity.greedy;
  report["greedy_same"] = parity.n_same;
  report["predictions"] = parity.n_positions;
  report["mean_kl"] = parity.mean_kl;
}

void print_text(const ExportArguments& o, const ordered_json& report,
                const convert::Parity& parity) {
  if (report.contains("bytes")) {
    fmt::print("{}: {}, {}\n", o.out, base::bytes_text(report["bytes"].get<std::uint64_t>()),
               o.dtype);
    if (const std::size_t n = report["in_f16"].size(); n > 0) {
      fmt::print("{} matrices in f16: their rows are no whole blocks\n", n);
    }
  } else {
    fmt::print("{}: Hugging Face folder, {}\n", o.out, o.dtype);
  }
  fmt::print("read back: largest difference of a weight {:.3g}{}\n", parity.weights.largest,
             parity.weights.where.empty() ? "" : ", in " + parity.weights.where);
  fmt::print("mean KL {:.3g} nats over {} predictions; {} of {} greedy tokens the same\n",
             parity.mean_kl, parity.n_positions, parity.n_same, parity.greedy.size());
}

Result<ExitCode> run(Verbs& verbs, const ExportArguments& o) {
  BELAY_RETURN_IF_ERROR(check_options(o));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute({.threads = o.threads, .dtype = "f32"}));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(verbs.env, o.model));
  BELAY_ASSIGN_OR_RETURN(Loaded from, load(verbs.env, path));
  ordered_json report = {{"model", o.model},
                         {"out", o.out},
                         {"to", o.to},
                         {"dtype", o.dtype},
                         {"parameters", from.model.config.n_params()}};
  BELAY_RETURN_IF_ERROR(write(verbs.env, o, path, from, report));
  const auto made = load(verbs.env, o.out);
  if (!made.ok()) return made.status().within("the export, read back");
  BELAY_ASSIGN_OR_RETURN(const auto ids, prompt_ids(o, from.tokenizer, made->tokenizer));
  BELAY_ASSIGN_OR_RETURN(const convert::Parity parity,
                         convert::compare_models(compute.ctx, verbs.env, std::move(from.model),
                                                 made->model, ids, kGreedyTokens));
  add_parity(parity, report);
  if (o.json) {
    print_json(report);
  } else {
    print_text(o, report, parity);
  }
  return ExitCode::kDone;
}

}  // namespace

void add_export(Verbs& verbs) {
  auto options = std::make_shared<ExportArguments>();
  ExportArguments& o = *options;
  Verb verb =
      verbs.add({.name = "export",
                 .about = "A model as a GGUF file or a Hugging Face folder, read back and compared",
                 .examples = {"export runs/a --to gguf --out a.gguf --dtype q8_0",
                              "export model.gguf --to hf --out model --json"}},
                [&verbs, options] { return run(verbs, *options); });
  verb.option("model", o.model, "Hugging Face folder, a GGUF file, or a run folder")
      .required()
      .type("MODEL|RUN");
  verb.option("--to", o.to, "gguf or hf").required().type("FORMAT");
  verb.option("--out", o.out, "The file (.gguf) or folder to write").required().type("PATH");
  verb.option("--dtype", o.dtype,
              "Of the matrices: f32, bf16, and for gguf f16, q8_0, q4_0; vectors are f32 in gguf");
  verb.option("--prompt", o.prompt, "The text on which both are compared").type("TEXT");
  verb.option("--threads", o.threads, "Threads; 0: all that this process may use");
  verb.flag("--json", o.json, "Print one JSON document");
}

}  // namespace belay::cli
