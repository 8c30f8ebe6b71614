#include "train/run_files.h"

#include <nlohmann/json.hpp>

namespace belay::train {
namespace {

constexpr double kLogPeriod = 0.5, kFlushPeriod = 10;  // seconds

}  // namespace

base::Status RunFiles::write_manifest(const nlohmann::ordered_json& manifest) {
  BELAY_RETURN_IF_ERROR(env_.create_dirs(folder_));
  return base::write_file_atomic(env_, base::join_path(folder_, "run.json"),
                                 manifest.dump(2) + "\n");
}

base::Status RunFiles::log(const StepInfo& info) {
  sum_ += info.loss;
  ++n_;
  const double apart = info.seconds - last_seconds_;
  if (info.step > 1 && info.progress < 1 && apart < kLogPeriod) return {};
  recent_loss_ = sum_ / static_cast<double>(n_);
  const double rate = apart > 0 ? static_cast<double>(info.tokens - last_tokens_) / apart : 0;
  const nlohmann::ordered_json line = {
      {"step", info.step},
      {"tokens", info.tokens},
      {"flops", flops_per_token_ * static_cast<double>(info.tokens)},
      {"seconds", info.seconds},
      {"loss", recent_loss_},
      {"lr", info.lr},
      {"grad_norm", info.grad_norm},
      {"tokens_per_second", rate}};
  lines_ += line.dump() + "\n";
  sum_ = 0;
  n_ = 0;
  last_tokens_ = info.tokens;
  last_seconds_ = info.seconds;
  if (info.seconds - last_flush_ < kFlushPeriod) return {};
  last_flush_ = info.seconds;
  return flush();
}

base::Status RunFiles::finish(const nlohmann::ordered_json& metrics) {
  lines_ += metrics.dump() + "\n";
  return flush();
}

base::Status RunFiles::flush() {
  return base::write_file_atomic(env_, base::join_path(folder_, "metrics.jsonl"), lines_);
}

}  // namespace belay::train
