#include "bench/time_to_loss.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "data/batches.h"
#include "data/utf8.h"
#include "model/score.h"
#include "text/bpe_train.h"
#include "train/validation.h"

namespace belay::bench {
namespace {

using base::Result;
using base::Status;

constexpr std::uint64_t kMaxCorpusBytes = std::uint64_t{1} << 28;
constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 28;  // of a tokenizer's training

/// Tokens that neighbouring windows of a validation share. All but the first of a window are
/// predicted, so with one token in common each is predicted once.
constexpr std::int64_t kOverlap = 1;

/// Characters of a text in UTF-8: bytes that continue none.
std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

/// Where the last tenth begins, counted in characters.
std::size_t last_tenth(std::string_view text) {
  std::int64_t left = count_characters(text) * 9 / 10;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && left-- == 0) break;
  }
  return at;
}

/// Seconds since the last time that it was asked.
class Watch {
 public:
  explicit Watch(base::Env& env) : env_(env), last_(env.steady_seconds()) {}
  double lap() {
    const double now = env_.steady_seconds();
    return now - std::exchange(last_, now);
  }

 private:
  base::Env& env_;
  double last_;
};

Result<data::Dataset> tokenize(base::Context& ctx, std::string_view train, std::string_view valid,
                               const TimeToLossOptions& o) {
  text::Tokenizer tokenizer = text::Tokenizer::bytes();
  if (o.recipe.vocab_size > 256) {
    const text::TrainOptions options{.vocab_size = o.recipe.vocab_size};
    text::PieceCounter counter(ctx.threads, options.split, {}, false, kPieceBytes);
    counter.add(train);
    BELAY_ASSIGN_OR_RETURN(tokenizer, text::train_bpe(counter.take(), options));
  }
  return data::Dataset::of_texts(std::move(tokenizer), std::span(&train, 1), std::span(&valid, 1),
                                 o.corpus);
}

Status check_corpus(const data::Dataset& dataset, const LossRecipe& recipe) {
  BELAY_RETURN_IF_ERROR(data::check_long_enough(dataset, recipe.context, recipe.batch_tokens));
  if (dataset.valid().n_tokens() >= 2) return {};
  return base::unsupported({.where = dataset.name(),
                            .what = "is too short: its last tenth has nothing to predict",
                            .next = "use more text"});
}

/// Training and validation in turn until the target or the end of time.
class Race {
 public:
  Race(base::Context& ctx, base::Env& env, const TimeToLossOptions& o, const data::Dataset& dataset,
       double deadline)
      : ctx_(ctx),
        env_(env),
        o_(o),
        dataset_(dataset),
        deadline_(deadline),
        model_(o.recipe.config(), o.dtype, true, o.recipe.context),
        batches_(dataset.train(), o.recipe.context, o.seed),
        optimizer_(model_, o.recipe.training().optimizer) {
    model_.initialize(ctx, o.seed);
  }

  Status run(Watch& watch, TimeToLossResult& r) {
    train::PretrainOptions options = o_.recipe.training();
    for (bool in_time = true; in_time && !r.reached;) {
      BELAY_ASSIGN_OR_RETURN(in_time, train(options));
      r.training += watch.lap();
      BELAY_ASSIGN_OR_RETURN(const train::Validation v,
                             train::validate(ctx_, env_, model_, dataset_,
                                             {.context = o_.recipe.context, .overlap = kOverlap}));
      r.validating += watch.lap();
      ++r.validations;
      r.nats_per_character = v.nats / static_cast<double>(r.n_characters);
      r.reached = r.nats_per_character <= o_.target;
      options.steps += std::max<std::int64_t>(1, o_.recipe.steps / 4);
    }
    r.n_params = model_.config().n_params();
    r.steps = state_.step;
    r.tokens = state_.tokens;
    return {};
  }

 private:
  /// The steps that are left; false when the time is up.
  Result<bool> train(train::PretrainOptions options) {
    options.max_seconds = state_.seconds + std::max(1e-9, deadline_ - env_.steady_seconds());
    const std::atomic<bool> stop = false;
    BELAY_ASSIGN_OR_RETURN(
        const train::Ending ending,
        train::pretrain(ctx_, env_, model_, optimizer_, {dataset_, batches_}, options, state_, stop,
                        [](const train::StepInfo&) { return Status(); }));
    return ending == train::Ending::kDone;
  }

  base::Context& ctx_;
  base::Env& env_;
  const TimeToLossOptions& o_;
  const data::Dataset& dataset_;
  double deadline_;
  model::Model model_;
  data::Batches batches_;
  train::Optimizer optimizer_;
  train::LoopState state_;
};

Status out_of_range(const char* option, double seen, std::string allowed) {
  return base::invalid_argument({.where = option,
                                 .what = "is out of range",
                                 .seen = fmt::format("{}", seen),
                                 .allowed = std::move(allowed)});
}

}  // namespace

model::ModelConfig LossRecipe::config() const {
  model::ModelConfig c;
  c.vocab_size = vocab_size;
  c.hidden_size = width;
  c.ffn_size = ffn;
  c.n_layers = layers;
  c.n_heads = c.n_kv_heads = heads;
  c.head_dim = width / heads;
  c.max_position = context;
  c.tied_embeddings = false;
  c.initializer_range = init_std;
  return c;
}

train::PretrainOptions LossRecipe::training() const {
  return {.batch_tokens = batch_tokens,
          .micro_tokens = batch_tokens,
          .steps = steps,
          .schedule = {.lr = lr, .warmup_steps = warmup, .floor = lr_floor},
          .optimizer = {.muon = true,
                        .beta1 = beta1,
                        .weight_decay = 0,
                        .muon_lr_ratio = muon_lr_ratio,
                        .muon_momentum = muon_momentum}};
}

Status check_recipe(const LossRecipe& r) {
  struct Row {
    const char* option;
    std::int64_t value, least, most;
  };
  for (const Row& row :
       {Row{"--vocab-size", r.vocab_size, 256, 65536}, Row{"--layers", r.layers, 1, 64},
        Row{"--width", r.width, 2, 4096}, Row{"--heads", r.heads, 1, 64},
        Row{"--ffn", r.ffn, 1, 16384}, Row{"--context", r.context, 2, 4096},
        Row{"--batch-tokens", r.batch_tokens, r.context, 1 << 20},
        Row{"--steps", r.steps, 1, 1000000}, Row{"--warmup", r.warmup, 0, 1000000}}) {
    if (row.value < row.least || row.value > row.most) {
      return out_of_range(row.option, static_cast<double>(row.value),
                          fmt::format("{} to {}", row.least, row.most));
    }
  }
  if (r.width % (2 * r.heads) != 0) {
    return out_of_range("--width", static_cast<double>(r.width), "a multiple of 2 × --heads");
  }
  if (r.batch_tokens % r.context != 0) {
    return out_of_range("--batch-tokens", static_cast<double>(r.batch_tokens),
                        "a multiple of --context");
  }
  struct Rate {
    const char* option;
    double value, most;
  };
  for (const Rate& rate : {Rate{"--lr", r.lr, 1}, Rate{"--muon-lr-ratio", r.muon_lr_ratio, 1000},
                           Rate{"--init-std", r.init_std, 10}}) {
    if (rate.value > 0 && rate.value <= rate.most) continue;
    return out_of_range(rate.option, rate.value, fmt::format("above 0, at most {}", rate.most));
  }
  for (const Rate& share : {Rate{"--lr-floor", r.lr_floor, 1}, Rate{"--beta1", r.beta1, 0.999},
                            Rate{"--muon-momentum", r.muon_momentum, 0.999}}) {
    if (share.value >= 0 && share.value <= share.most) continue;
    return out_of_range(share.option, share.value, fmt::format("0 to {}", share.most));
  }
  return {};
}

Result<TimeToLossResult> time_to_loss(base::Context& ctx, base::Env& env,
                                      const TimeToLossOptions& o, Started started) {
  BELAY_RETURN_IF_ERROR(check_recipe(o.recipe));
  const double start = env.steady_seconds() - started.seconds;
  const double cpu_start = env.cpu_seconds() - started.cpu_seconds;
  Watch watch(env);
  TimeToLossResult r;
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(o.corpus, kMaxCorpusBytes));
  const std::size_t border = last_tenth(text);
  const std::string_view train = std::string_view(text).substr(0, border);
  const std::string_view valid = std::string_view(text).substr(border);
  r.n_characters = count_characters(valid);
  r.reading = watch.lap();
  BELAY_ASSIGN_OR_RETURN(const data::Dataset dataset, tokenize(ctx, train, valid, o));
  BELAY_RETURN_IF_ERROR(check_corpus(dataset, o.recipe));
  r.n_train_tokens = dataset.train().n_tokens();
  r.n_valid_tokens = dataset.valid().n_tokens();
  r.tokenizing = watch.lap();
  BELAY_RETURN_IF_ERROR(model::check_model_fits(env, o.recipe.config(), o.dtype, true));
  Race race(ctx, env, o, dataset, start + o.max_seconds);
  r.building = watch.lap();
  BELAY_RETURN_IF_ERROR(race.run(watch, r));
  r.seconds = env.steady_seconds() - start;
  r.cpu_seconds = env.cpu_seconds() - cpu_start;
  return r;
}

}  // namespace belay::bench
