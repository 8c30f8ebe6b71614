#include "bench/train_bench.h"

#include <algorithm>
#include <chrono>

#include "base/env.h"
#include "base/rng.h"
#include "bench/roofline.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace belay::bench {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

model::ModelConfig qwen3(std::int64_t layers, std::int64_t width, std::int64_t heads,
                         std::int64_t ffn, std::int64_t vocab, std::int64_t context) {
  model::ModelConfig c;
  c.vocab_size = vocab;
  c.hidden_size = width;
  c.ffn_size = ffn;
  c.n_layers = layers;
  c.n_heads = c.n_kv_heads = heads;
  c.head_dim = width / heads;
  c.max_position = context;
  return c;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

void random_rows(model::Batch& batch, const TrainShape& s, std::uint64_t step) {
  const base::Rng rng(1, base::Purpose::kBench, step);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(s.sequences * (s.context + 1)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] =
        static_cast<std::int32_t>(rng.below(i, static_cast<std::uint64_t>(s.config.vocab_size)));
  }
  batch.set_rows(rows, s.context);
}

}  // namespace

const std::vector<TrainShape>& train_shapes() {
  static const std::vector<TrainShape> shapes = {
      {"S", "6 layers, d 384, 6 heads, ffn 1024, vocabulary 8192, 16 x 256 tokens",
       qwen3(6, 384, 6, 1024, 8192, 256), 16, 256},
      {"M", "12 layers, d 768, 12 heads, ffn 2048, vocabulary 32000, 4 x 512 tokens",
       qwen3(12, 768, 12, 2048, 32000, 512), 4, 512},
      {"nano", "4 layers, d 128, 4 heads, ffn 352, vocabulary 65, 12 x 64 tokens",
       qwen3(4, 128, 4, 352, 65, 64), 12, 64},
  };
  return shapes;
}

const TrainShape* find_shape(std::string_view name) {
  for (const TrainShape& s : train_shapes()) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

TrainResult bench_train(base::Context& ctx, const TrainShape& shape, const TrainBenchOptions& o) {
  TrainResult r;
  const int threads = ctx.threads.size();
  if (o.roofline) r.product_flops = onednn_product(o.dtype, 2048, 2048, 2048, threads, 20);
  model::Model model(shape.config, o.dtype, true, shape.context);
  model.initialize(ctx, 1);
  train::Step step(ctx, model,
                   {.n_tokens = shape.sequences * shape.context,
                    .longest = shape.context,
                    .checkpoint = o.checkpoint});
  train::Optimizer optimizer(model, {.muon = o.muon});
  std::vector<double> times, update;
  for (int i = -2; i < o.steps; ++i) {
    random_rows(step.batch(), shape, static_cast<std::uint64_t>(i + 2));
    step.exec().profile(i >= 0);
    const double start = seconds_now();
    r.final_loss = static_cast<double>(step.run());
    const double middle = seconds_now();
    optimizer.step(ctx, model, 3e-4);
    if (i < 0) continue;
    times.push_back(seconds_now() - start);
    update.push_back(seconds_now() - middle);
  }
  r.peak_rss_bytes = static_cast<std::int64_t>(base::Env::posix().peak_rss_bytes());
  if (o.roofline) {
    r.product_flops =
        std::max(r.product_flops, onednn_product(o.dtype, 2048, 2048, 2048, threads, 20));
  }
  r.step_seconds = median(times);
  r.best_step_seconds = *std::min_element(times.begin(), times.end());
  r.tokens_per_second = static_cast<double>(shape.sequences * shape.context) / r.step_seconds;
  r.flops_per_token = shape.config.train_flops_per_token(shape.context);
  r.mfu = r.product_flops > 0 ? r.flops_per_token * r.tokens_per_second / r.product_flops : 0;
  r.n_params = shape.config.n_params();
  r.planned_bytes = model::model_bytes(shape.config, o.dtype, true).total() + optimizer.bytes() +
                    step.exec().arena_bytes();
  r.optimizer_seconds = median(update);
  r.rows = step.exec().profile_rows();
  for (tensor::ProfileRow& row : r.rows) {
    row.seconds /= o.steps;
    row.flops /= o.steps;
    row.bytes /= o.steps;
    row.calls /= o.steps;
  }
  return r;
}

}  // namespace belay::bench
