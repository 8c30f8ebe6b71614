#include "cli/pretrain_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/units.h"
#include "base/version.h"
#include "data/bigram.h"

namespace belay::cli {
namespace {

using nlohmann::ordered_json;

/// `xz -9e` of the embedded texts together, less that of the training text: corpus/README.md.
constexpr double kXzOfEmbedded = 2.1220;

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string hash_of(const std::string& text) {
  return base::hex64(base::xxh3_64(std::as_bytes(std::span(text))));
}

std::string end_text(const train::PretrainOptions& o) {
  const std::string steps = fmt::format("{} steps", o.steps);
  const std::string time = base::duration_text(o.max_seconds);
  if (o.steps == 0) return time;
  return o.max_seconds == 0 ? steps : fmt::format("{}, at most {}", steps, time);
}

}  // namespace

std::string plan_text(const train::PretrainPlan& plan, const model::ModelConfig& config,
                      const train::PretrainOptions& o, const PretrainArguments& a,
                      const ByteCorpus& corpus, const Compute& compute) {
  const std::int64_t bytes = plan.state_bytes + plan.step_bytes;
  return fmt::format(
      "model    depth {}, {} wide: {} parameters, {} FLOPs a token\n"
      "data     {}: {} bytes to train on, {} to validate\n"
      "run      {}, {} tokens a step in rows of {}, {} at {:.3g}, seed {}\n"
      "memory   {}: {} weights and optimizer, {} activations\n"
      "machine  {}, {}",
      config.n_layers, config.hidden_size, base::count_text(static_cast<double>(plan.n_params)),
      base::count_text(plan.flops_per_token), corpus.name, corpus.train.size(), corpus.valid.size(),
      end_text(o), o.batch_tokens, a.context, a.optimizer, o.schedule.lr, a.seed,
      base::bytes_text(static_cast<std::uint64_t>(bytes)),
      base::bytes_text(static_cast<std::uint64_t>(plan.state_bytes)),
      base::bytes_text(static_cast<std::uint64_t>(plan.step_bytes)), base::cpu_model(),
      compute.text());
}

Comparison compare(const ByteCorpus& corpus, const train::ByteValidation& validation) {
  Comparison c;
  c.model = validation.bits_per_byte();
  c.bigram = data::bigram_bits_per_byte(bytes_of(corpus.train), bytes_of(corpus.valid));
  if (corpus.embedded) c.xz = kXzOfEmbedded;
  return c;
}

std::string comparison_text(const Comparison& c, const ByteCorpus& corpus) {
  std::string text = fmt::format("{:<40}  bits per byte\n",
                                 fmt::format("on {} bytes of other text", corpus.valid.size()));
  const auto row = [&](std::string_view name, double bits) {
    text += fmt::format("  {:<38}  {:>13.4f}\n", name, bits);
  };
  row("this model", c.model);
  if (c.xz) row("xz -9e, knowing the training text", *c.xz);
  row("bigram, counted on the training text", c.bigram);
  return text;
}

Excerpt excerpt_of(std::string_view text, std::size_t n_bytes) {
  constexpr std::size_t kPrompt = 48;
  std::size_t begin = text.find('\n', text.size() / 3);
  begin = begin == std::string_view::npos ? 0 : text.find_first_not_of('\n', begin);
  if (begin == std::string_view::npos) begin = 0;
  const std::string_view piece = text.substr(begin, n_bytes + kPrompt);
  const std::size_t space = piece.find(' ', kPrompt);
  const std::size_t cut = space == std::string_view::npos ? piece.size() / 2 : space;
  return {piece.substr(0, cut), piece.substr(cut)};
}

ordered_json data_json(const ByteCorpus& corpus) {
  return {{"name", corpus.name},
          {"train_bytes", corpus.train.size()},
          {"train_xxh3", hash_of(corpus.train)},
          {"valid_bytes", corpus.valid.size()},
          {"valid_xxh3", hash_of(corpus.valid)}};
}

ordered_json manifest_of(const std::vector<std::string>& command_line, const ordered_json& options,
                         const train::PretrainPlan& plan, const PretrainArguments& arguments,
                         const ByteCorpus& corpus, const Compute& compute, double started) {
  return {{"kind", "pretrain"},
          {"status", "running"},
          {"command", command_line},
          {"options", options},
          {"seed", arguments.seed},
          {"version", base::kFullVersion},
          {"started", started},
          {"machine",
           {{"processor", base::cpu_model()},
            {"isa", base::isa_name(compute.ctx.isa)},
            {"dtype", tensor::dtype_name(compute.dtype)},
            {"threads", compute.threads->size()}}},
          {"data", data_json(corpus)},
          {"model",
           {{"parameters", plan.n_params},
            {"flops_per_token", plan.flops_per_token},
            {"state_bytes", plan.state_bytes},
            {"step_bytes", plan.step_bytes}}}};
}

}  // namespace belay::cli
