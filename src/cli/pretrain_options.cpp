#include "cli/pretrain_options.h"

#include <fmt/format.h>

#include <algorithm>

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

constexpr std::int64_t kWidthMultiple = 16;

Status check_multiple(std::string_view name, std::int64_t value, std::int64_t of,
                      std::string_view of_name) {
  if (value % of == 0) return {};
  return base::invalid_argument(
      {.where = std::string(name),
       .what = fmt::format("is not a multiple of {}", of_name),
       .seen = std::to_string(value),
       .allowed = fmt::format("{}, {}, ...", std::max(of, value / of * of), value / of * of + of)});
}

Status check_known(std::string_view name, const std::string& value,
                   std::initializer_list<std::string_view> known) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return {};
  return base::invalid_argument({.where = std::string(name),
                                 .what = "is not known",
                                 .seen = base::printable(value),
                                 .allowed = fmt::format("{}", fmt::join(known, ", "))});
}

Status check(const PretrainArguments& a) {
  BELAY_RETURN_IF_ERROR(check_range("--depth", a.depth, 1, 128));
  BELAY_RETURN_IF_ERROR(check_range("--width", a.width, 0, 64 * 128));
  BELAY_RETURN_IF_ERROR(check_multiple("--width", a.width, kWidthMultiple, "16"));
  BELAY_RETURN_IF_ERROR(check_range("--context", a.context, 2, 1 << 16));
  BELAY_RETURN_IF_ERROR(check_range("--batch-tokens", a.batch_tokens, 0, 1 << 24));
  BELAY_RETURN_IF_ERROR(check_range("--micro-tokens", a.micro_tokens, 0, 1 << 20));
  BELAY_RETURN_IF_ERROR(check_range("--steps", a.steps, 0, 1'000'000'000));
  BELAY_RETURN_IF_ERROR(check_range("--warmup", a.warmup, 0, 1'000'000'000));
  BELAY_RETURN_IF_ERROR(check_range("--max-seconds", a.max_seconds, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--price-per-hour", a.price_per_hour, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--checkpoint-seconds", a.checkpoint_seconds, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--checkpoint-steps", a.checkpoint_steps, 0, 1'000'000'000));
  BELAY_RETURN_IF_ERROR(check_range("--lr", a.lr, 0.0, 100.0));
  BELAY_RETURN_IF_ERROR(check_range("--muon-lr", a.muon_lr, 0.0, 100.0));
  BELAY_RETURN_IF_ERROR(check_range("--weight-decay", a.weight_decay, 0.0, 100.0));
  BELAY_RETURN_IF_ERROR(check_range("--clip", a.clip, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--z-loss", a.z_loss, 0.0, 1.0));
  BELAY_RETURN_IF_ERROR(check_range("--decay-share", a.decay_share, 0.001, 1.0));
  BELAY_RETURN_IF_ERROR(check_range("--lr-floor", a.lr_floor, 0.0, 1.0));
  BELAY_RETURN_IF_ERROR(check_range("--eval-seconds", a.eval_seconds, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--eval-steps", a.eval_steps, 0, 1'000'000'000));
  BELAY_RETURN_IF_ERROR(check_range("--eval-tokens", a.eval_tokens, 0, 1LL << 40));
  BELAY_RETURN_IF_ERROR(check_known("--schedule", a.schedule, {"linear", "cosine", "wsd"}));
  BELAY_RETURN_IF_ERROR(check_range("--init-std", a.init_std, 1e-6, 10.0));
  if (a.rope_theta != 0) {
    BELAY_RETURN_IF_ERROR(check_range("--rope-theta", a.rope_theta, 1.0, 1e12));
  }
  BELAY_RETURN_IF_ERROR(check_known("--family", a.family, {"qwen3", "llama"}));
  if (!a.init_attention.empty()) {
    BELAY_RETURN_IF_ERROR(
        check_known("--init-attention", a.init_attention, {"induction", "random"}));
  }
  if (a.init_attention == "induction" && a.family != "qwen3") {
    return base::invalid_argument({.where = "--init-attention",
                                   .what = "needs the norms of queries and keys",
                                   .seen = "induction with --family " + a.family,
                                   .allowed = "--family qwen3"});
  }
  BELAY_RETURN_IF_ERROR(check_known("--row-order", a.row_order, {"random", "corpus"}));
  return check_known("--optimizer", a.optimizer, {"adamw", "muon"});
}

/// A model to go on from has its own shape and weights.
Status check_from(const PretrainArguments& a) {
  if (a.from.empty()) return {};
  const PretrainArguments usual;
  for (const auto& [name, given] : {std::pair{"--depth", a.depth != usual.depth},
                                    {"--width", a.width != usual.width},
                                    {"--family", a.family != usual.family},
                                    {"--rope-theta", a.rope_theta != usual.rope_theta},
                                    {"--init-std", a.init_std != usual.init_std},
                                    {"--init-attention", !a.init_attention.empty()}}) {
    if (!given) continue;
    return base::invalid_argument(
        {.where = name, .what = "does not go with --from, whose model has its own"});
  }
  return {};
}

/// A fork shares the first part of a run whose length does not show yet.
Status check_fork(const PretrainArguments& a) {
  if (a.keep_fork && (a.schedule != "wsd" || a.steps == 0)) {
    return base::invalid_argument(
        {.where = "--keep-fork", .what = "needs --schedule wsd and --steps, to know where"});
  }
  if (a.fork.empty()) return {};
  const auto refuse = [](std::string what) {
    return base::invalid_argument({.where = "--fork", .what = std::move(what)});
  };
  if (a.schedule != "wsd") return refuse("needs --schedule wsd, whose rate stays before it falls");
  if (a.steps == 0) return refuse("needs --steps, the length of the whole run");
  if (!a.from.empty()) return refuse("does not go with --from: the run that is forked has weights");
  if (a.fork == a.out) return refuse("is the run in --out: a run cannot fork from itself");
  return {};
}

}  // namespace

void add_plan_options(Verb verb, PretrainArguments& a) {
  const auto add = [&verb](const char* name, auto& value, const char* about) {
    return verb.option(name, value, about);
  };
  add("--data", a.data,
      "Folder that belay data prepare made, or a text file whose bytes are the tokens; the "
      "embedded novels when absent")
      .type("DIR");
  add("--from", a.from, "Go on from the weights of this Hugging Face folder, with its shape")
      .type("DIR");
  add("--depth", a.depth,
      "The dial: layers; width (64 times as much), heads, batch, learning rates and length follow");
  add("--width", a.width, "Another width, a multiple of 16; 0: 64 times the depth");
  add("--family", a.family, "qwen3, which normalizes each head's queries and keys, or llama");
  add("--context", a.context, "Tokens of a row");
  add("--rope-theta", a.rope_theta,
      "Base of the rotary positions; 0: by the dial, a quarter of the context");
  add("--batch-tokens", a.batch_tokens, "Tokens of a step; 0: by the dial, 1024");
  add("--micro-tokens", a.micro_tokens, "Of them computed at a time; 0: at most 16384");
  add("--optimizer", a.optimizer, "adamw, or muon for the hidden matrices and adamw for the rest");
  add("--steps", a.steps,
      "Steps of the run, for the same weights every time; 0: as many as --max-seconds allows, or "
      "the dial's 8 tokens a parameter, but the data at most four times");
  add("--max-seconds", a.max_seconds, "Seconds of training; 0: no limit");
  add("--eval-seconds", a.eval_seconds,
      "Seconds between validations with a sample; 0: only at the end");
  add("--eval-steps", a.eval_steps, "One after every so many steps too; 0: no");
  add("--eval-tokens", a.eval_tokens,
      "Tokens of such a validation (the last one takes all); 0: all");
  add("--price-per-hour", a.price_per_hour, "Of this machine, to plan the money; 0: not known");
  add("--seed", a.seed, "Of weights, batches and the sample");
  verb.flag("--json", a.json, "Print the result as one JSON document");
  add_compute_options(verb, a.compute);
}

void add_options(Verb verb, PretrainArguments& a) {
  const auto add = [&verb](const char* name, auto& value, const char* about) {
    return verb.option(name, value, about);
  };
  add("--out", a.out, "Folder of the run: model/, run.json, metrics.jsonl, report.html")
      .type("DIR");
  add("--resume", a.resume, "Go on with the run in this folder, with its options").type("DIR");
  add("--fork", a.fork,
      "Begin where this run of --schedule wsd began to decay: the weights of a run from nothing, "
      "for the time of the rest")
      .type("RUN");
  verb.flag("--overwrite", a.overwrite, "Replace a run that is in --out");
  add_plan_options(verb, a);
  add("--lr", a.lr, "Peak of AdamW's learning rate; 0: by the dial");
  add("--muon-lr", a.muon_lr, "Peak of Muon's learning rate; 0: by the dial, from the parameters");
  add("--weight-decay", a.weight_decay, "Of matrices");
  add("--clip", a.clip, "Most that the norm of all gradients may be; 0: no limit");
  add("--z-loss", a.z_loss, "Weight of the squared log-sum-exp of the logits, as 1e-4; 0: none");
  add("--init-std", a.init_std,
      "Standard deviation of new matrices; of those that write to the residual, over sqrt(2 "
      "layers)");
  add("--init-attention", a.init_attention,
      "induction: heads of the first two layers begin by copying from the context; random: as "
      "drawn; induction for qwen3 when absent");
  add("--row-order", a.row_order,
      "random; corpus: rows come one after the other as the files hold them, for text that was put "
      "in order");
  add("--warmup", a.warmup, "Steps in which the learning rate rises");
  add("--schedule", a.schedule, "How it falls: linear, cosine, or wsd, which stays, then falls");
  add("--decay-share", a.decay_share, "Of the run, in which wsd falls");
  add("--lr-floor", a.lr_floor, "Learning rate at the end, as a share of the peak");
  verb.flag("--keep-fork", a.keep_fork,
            "Keep the state before wsd begins to fall, in fork/, for --fork of longer runs");
  add("--checkpoint-seconds", a.checkpoint_seconds,
      "Seconds between checkpoints, more where saving would take over 1 % of them; 0: only at the "
      "end");
  add("--checkpoint-steps", a.checkpoint_steps,
      "A checkpoint after every so many steps too; 0: no");
}

data::RowOrder row_order(const PretrainArguments& a) {
  return a.row_order == "corpus" ? data::RowOrder::kCorpus : data::RowOrder::kRandom;
}

model::FirstAttention first_attention(const PretrainArguments& a) {
  const bool induction =
      a.init_attention.empty() ? a.family == "qwen3" : a.init_attention == "induction";
  return induction ? model::FirstAttention::kInduction : model::FirstAttention::kRandom;
}

Result<train::PretrainOptions> resolve(const PretrainArguments& a) {
  BELAY_RETURN_IF_ERROR(check(a));
  BELAY_RETURN_IF_ERROR(check_from(a));
  BELAY_RETURN_IF_ERROR(check_fork(a));
  train::PretrainOptions o;
  BELAY_RETURN_IF_ERROR(check_multiple("--batch-tokens", a.batch_tokens, a.context, "--context"));
  BELAY_RETURN_IF_ERROR(check_multiple("--micro-tokens", a.micro_tokens, a.context, "--context"));
  if (a.batch_tokens > 0 && a.micro_tokens > 0) {
    BELAY_RETURN_IF_ERROR(
        check_multiple("--batch-tokens", a.batch_tokens, a.micro_tokens, "--micro-tokens"));
  }
  o.steps = a.steps;
  o.max_seconds = a.max_seconds;
  o.optimizer.muon = a.optimizer == "muon";
  o.optimizer.weight_decay = a.weight_decay;
  o.optimizer.clip = a.clip;
  o.z_loss = a.z_loss;
  o.schedule.warmup_steps = a.warmup;
  o.schedule.curve = *train::parse_curve(a.schedule);
  o.schedule.decay_share = a.decay_share;
  o.schedule.floor = a.lr_floor;
  return o;
}

}  // namespace belay::cli
