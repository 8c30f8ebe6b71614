// One forward over the rows of several sequences against their pages, and the logits of rows that
// are asked for. Tapes are recorded once for each number of rows (rounded up a little) and share an
// arena; a replay allocates nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "model/batch.h"
#include "model/kv_cache.h"
#include "tensor/exec.h"

namespace belay::infer {

struct StepLimits {
  std::int64_t rows = 0;      // of a batch
  std::int64_t segments = 0;  // sequences of a batch
  std::int64_t longest = 0;   // positions of a sequence
  std::int64_t table = 0;     // pages of all sequences of a batch together
};

class ModelStep {
 public:
  ModelStep(base::Context& ctx, const model::Model& model, model::KvPages& pages,
            const StepLimits& limits);
  /// Beside model and pages, without taking it.
  static std::int64_t bytes_needed(base::Context& ctx, const model::Model& model,
                                   const StepLimits& limits, int kv_bits = 0);

  /// Forgets the rows.
  void begin();
  /// Ids that go on from position `past` of a sequence; returns the first's row.
  std::int64_t add(std::span<const std::int32_t> ids, std::int64_t past,
                   std::span<const std::int32_t> pages);
  /// The forward over all rows that were added.
  void run();

  static constexpr std::int64_t kHeadRows = 32;
  /// After run(): f32 [rows, V] of up to kHeadRows rows, valid until the next call.
  std::span<const float> logits(std::span<const std::int32_t> rows);
  /// After run(): log p(target) of up to kHeadRows rows, valid until the next call.
  std::span<const float> logprobs(std::span<const std::int32_t> rows,
                                  std::span<const std::int32_t> targets);

 private:
  struct Body {
    std::unique_ptr<model::Batch> batch;
    std::unique_ptr<tensor::Exec> exec;
    tensor::Id h = tensor::kNone;
  };
  struct Head {
    std::unique_ptr<tensor::Exec> exec;
    tensor::Id out = tensor::kNone;
  };
  Body& body(std::int64_t rows);
  Head& head(std::int64_t rows, bool gather);
  std::int64_t gather(std::span<const std::int32_t> rows);

  base::Context& ctx_;
  const model::Model& model_;
  model::KvPages& pages_;
  StepLimits limits_;
  model::Segments segments_;
  std::vector<std::int32_t> ids_, positions_;
  base::Buffer body_arena_, head_arena_, hidden_;
  std::vector<std::int32_t> targets_;
  std::map<std::int64_t, Body> bodies_;
  std::map<std::int64_t, Head> logits_, logprobs_;
  Body* ran_ = nullptr;
};

}  // namespace belay::infer
