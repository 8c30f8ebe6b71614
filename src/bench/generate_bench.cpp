#include "bench/generate_bench.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/json.h"
#include "base/rng.h"
#include "base/units.h"
#include "bench/roofline.h"
#include "bench/timing.h"
#include "infer/engine.h"

namespace belay::bench {
namespace {

constexpr std::int64_t kBandwidthBytes = std::int64_t{512} << 20;

std::vector<std::int32_t> random_prompt(std::int64_t n, std::int64_t vocab, std::uint64_t seed) {
  const base::Rng rng(seed, base::Purpose::kBench);
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<std::int32_t>(
        rng.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(vocab))));
  }
  return ids;
}

infer::EngineOptions engine_options(const GenerateBenchOptions& o) {
  return {.context = o.prompt + o.tokens + 1,
          .sequences = o.rows,
          .step_rows = std::max<std::int64_t>(o.prompt, 256),
          .share_prefixes = false,
          .kv_bits = o.kv_bits};
}

/// Seconds of a prompt until its first token, or of the tokens after the first of every text.
double run_once(infer::Engine& engine, const GenerateBenchOptions& o, std::uint64_t seed) {
  const bool prefill = o.kind == GenerateKind::kPrefill;
  for (std::int64_t r = 0; r < o.rows; ++r) {
    infer::Request request{.prompt = random_prompt(o.prompt, engine.vocab_size(),
                                                   seed + static_cast<std::uint64_t>(r)),
                           .max_tokens = prefill ? 1 : o.tokens,
                           .sampler = {.temperature = 0}};
    const auto sent = engine.submit(std::move(request));
    BELAY_CHECK(sent.ok(), "a prompt that fits");
  }
  double start = seconds_now();
  if (!prefill) {
    while (engine.stats().generated % (o.rows * o.tokens) < o.rows) {
      engine.step();
      start = seconds_now();
    }
  }
  while (engine.step()) {
  }
  const double seconds = seconds_now() - start;
  engine.take_finished();
  return seconds;
}

/// Of the matrices that a forward multiplies by.
double matrix_weights(const model::Model& model) {
  double n = 0;
  for (const model::WeightSpec& w : model.table()) {
    const bool embedding = w.role == model::Role::kEmbedding;
    if (w.shape.rank() != 2 || (embedding && !model.config().tied_embeddings)) continue;
    n += static_cast<double>(w.shape.count());
  }
  return n;
}

}  // namespace

GenerateResult bench_generate(base::Context& ctx, base::Env& env, const model::Model& model,
                              const GenerateBenchOptions& o) {
  GenerateResult r;
  const infer::EngineOptions options = engine_options(o);
  const infer::EngineBytes bytes = infer::engine_bytes(ctx, model, options);
  r.planned_bytes = model.product_bytes() + bytes.pages + bytes.activations;
  infer::Engine engine(ctx, model, options);
  run_once(engine, o, 0);
  // Before the yardsticks, whose operands take more than a small model.
  r.peak_rss_bytes = static_cast<std::int64_t>(env.peak_rss_bytes());
  ProductRate products(model.compute(), ctx.threads.size(), o.roofline);
  r.onednn_version = products.version();
  products.sample();
  ReadRate memory(ctx, kBandwidthBytes);
  const bool prefill = o.kind == GenerateKind::kPrefill;
  const double n_tokens = static_cast<double>(o.rows * (prefill ? o.prompt : o.tokens - 1));
  std::vector<double> rates, seconds, reads = {memory.sample()};
  for (int i = 0; i < o.repeats; ++i) {
    seconds.push_back(run_once(engine, o, static_cast<std::uint64_t>(100 * (i + 1))));
    rates.push_back(n_tokens / seconds.back());
    reads.push_back(memory.sample());
  }
  r.tokens_per_second = stats::median(rates);
  r.interval = {stats::quantile(rates, 0), stats::quantile(rates, 1)};
  if (!prefill) r.seconds_per_step = stats::median(seconds) / static_cast<double>(o.tokens - 1);
  r.read_bandwidth = stats::median(reads);
  products.sample();
  r.product_flops = products.best();
  const model::ModelConfig& c = model.config();
  const double weights = matrix_weights(model);
  const double seen = static_cast<double>(o.prompt) + (prefill ? -static_cast<double>(o.prompt) / 2
                                                               : static_cast<double>(o.tokens) / 2);
  // A prompt needs the head for its last token only.
  const double head = static_cast<double>(c.vocab_size * c.hidden_size);
  r.flops_per_token = 2 * (prefill ? weights - head : weights) +
                      4 * seen * static_cast<double>(c.n_layers * c.q_size());
  r.weight_bytes = static_cast<double>(model.product_bytes());
  r.cache_bytes = seen * static_cast<double>(o.rows) / ops::kPageTokens *
                  static_cast<double>(model::KvPages::page_bytes(c, model.compute(), o.kv_bits));
  std::vector<double> shares;
  for (std::size_t i = 0; i < seconds.size() && !prefill; ++i) {
    const double read = (r.weight_bytes + r.cache_bytes) * static_cast<double>(o.tokens - 1);
    shares.push_back(read / seconds[i] / ((reads[i] + reads[i + 1]) / 2));
  }
  if (!prefill) r.bandwidth_share = stats::median(shares);
  return r;
}

std::string GenerateShape::about() const {
  return fmt::format("{} layers, d {}, {}/{} heads of {}, ffn {}, vocabulary {}, {} parameters",
                     config.n_layers, config.hidden_size, config.n_heads, config.n_kv_heads,
                     config.head_dim, config.ffn_size, config.vocab_size,
                     base::count_text(static_cast<double>(config.n_params())));
}

base::Result<GenerateShape> generate_shape(std::string_view name) {
  model::ModelConfig c;
  c.max_position = 32768;
  if (name == "Q") {
    c.n_layers = 28, c.hidden_size = 1024, c.ffn_size = 3072, c.vocab_size = 151936;
    c.n_heads = 16, c.n_kv_heads = 8, c.head_dim = 128;
    return GenerateShape{"Q", c};
  }
  if (name == "m") {
    c.n_layers = 12, c.hidden_size = 512, c.ffn_size = 1024, c.vocab_size = 8192;
    c.n_heads = c.n_kv_heads = 8, c.head_dim = 64;
    return GenerateShape{"m", c};
  }
  return base::invalid_argument({.where = "--shape",
                                 .what = "is not known",
                                 .seen = base::printable(name),
                                 .allowed = "Q, m",
                                 .next = "a model's folder is given as --model"});
}

}  // namespace belay::bench
