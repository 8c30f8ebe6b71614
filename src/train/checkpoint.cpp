#include "train/checkpoint.h"

#include <fmt/core.h>

#include <set>

#include "base/hash.h"
#include "base/json.h"
#include "model/hf_folder.h"
#include "store/safetensors.h"
#include "store/sealed_json.h"

namespace belay::train {
namespace {

using base::Env;
using base::join_path;
using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kKept = 2;
constexpr std::int64_t kMost = std::int64_t{1} << 53;
constexpr double kMostSeconds = 1e12;
constexpr std::uint64_t kMaxStateBytes = std::uint64_t{16} << 20;

std::string state_folder(const std::string& run_folder) { return join_path(run_folder, "state"); }
std::string state_path(const std::string& run_folder) {
  return join_path(state_folder(run_folder), "checkpoint.json");
}

/// Calls visit(name, values) for every tensor of a checkpoint, until it fails.
template <class Visit>
Status for_each_tensor(const model::Model& model, const Optimizer& optimizer, const Visit& visit) {
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    const std::string name = model.table()[i].name();
    const tensor::View w = model.master(i);
    BELAY_RETURN_IF_ERROR(visit("weights." + name, i,
                                std::span<float>(w.f32(), static_cast<std::size_t>(w.count()))));
    BELAY_RETURN_IF_ERROR(visit("first." + name, i, optimizer.first(model, i)));
    if (const auto second = optimizer.second(model, i); !second.empty()) {
      BELAY_RETURN_IF_ERROR(visit("second." + name, i, second));
    }
  }
  return {};
}

std::vector<std::int64_t> dims_of(const tensor::Shape& shape) {
  std::vector<std::int64_t> dims;
  for (int d = 0; d < shape.rank(); ++d) dims.push_back(shape[d]);
  return dims;
}

ordered_json to_json(const Checkpoint& c) {
  return {{"step", c.loop.step},
          {"tokens", c.loop.tokens},
          {"skipped_steps", c.loop.skipped},
          {"skipped_in_a_row", c.loop.skipped_in_a_row},
          {"optimizer_steps", c.optimizer_steps},
          {"seconds", c.loop.seconds},
          {"loss_mean", c.loop.loss.mean},
          {"loss_deviation", c.loop.loss.deviation},
          {"loss_count", c.loop.loss.n},
          {"header_xxh3", base::hex64(c.header_xxh3)}};
}

Result<Checkpoint> checkpoint_of(const base::JsonReader& json) {
  Checkpoint c;
  BELAY_ASSIGN_OR_RETURN(c.loop.step, json.require_int("step", 0, kMost));
  BELAY_ASSIGN_OR_RETURN(c.loop.tokens, json.require_int("tokens", 0, kMost));
  BELAY_ASSIGN_OR_RETURN(c.loop.skipped, json.require_int("skipped_steps", 0, c.loop.step));
  BELAY_ASSIGN_OR_RETURN(c.loop.skipped_in_a_row,
                         json.require_int("skipped_in_a_row", 0, c.loop.skipped));
  BELAY_ASSIGN_OR_RETURN(c.optimizer_steps, json.require_int("optimizer_steps", 0, c.loop.step));
  BELAY_ASSIGN_OR_RETURN(c.loop.seconds, json.require_double("seconds", 0, kMostSeconds));
  BELAY_ASSIGN_OR_RETURN(c.loop.loss.mean, json.require_double("loss_mean", -1e300, 1e300));
  BELAY_ASSIGN_OR_RETURN(c.loop.loss.deviation, json.require_double("loss_deviation", 0, 1e300));
  BELAY_ASSIGN_OR_RETURN(c.loop.loss.n, json.require_int("loss_count", 0, c.loop.step));
  BELAY_ASSIGN_OR_RETURN(const std::string hash, json.require_string("header_xxh3"));
  const auto value = base::parse_hex64(hash);
  if (!value) {
    return json.error(base::Code::kCorrupt, "header_xxh3", "is no checksum",
                      "16 hexadecimal digits");
  }
  c.header_xxh3 = *value;
  return c;
}

/// Removes the files of checkpoints that checkpoint.json does not name.
Status remove_others(Env& env, const std::string& folder, const std::vector<Checkpoint>& kept) {
  std::set<std::string> keep;
  for (const Checkpoint& c : kept) keep.insert(c.file());
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(folder));
  for (const std::string& name : names) {
    if (!name.starts_with("step-") || !name.ends_with(".safetensors") || keep.contains(name)) {
      continue;
    }
    BELAY_RETURN_IF_ERROR(env.remove_file(join_path(folder, name)));
  }
  return {};
}

}  // namespace

std::string Checkpoint::file() const { return fmt::format("step-{:010}.safetensors", loop.step); }

std::string compose_saved_state(const SavedState& state) {
  ordered_json entries = ordered_json::array();
  for (const Checkpoint& c : state.checkpoints) entries.push_back(to_json(c));
  return store::seal_json(
      {{"format", kFormat}, {"checkpoints", std::move(entries)}, {"run", state.run}});
}

Result<SavedState> parse_saved_state(std::string_view text, const std::string& file) {
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader json, store::open_sealed_json(text, file));
  BELAY_ASSIGN_OR_RETURN(const std::int64_t format, json.require_int("format", 0, kMost));
  if (format != kFormat) {
    return base::unsupported({.where = file + ": format",
                              .what = "is of another version of Belay",
                              .seen = std::to_string(format),
                              .allowed = std::to_string(kFormat)});
  }
  SavedState state;
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader run, json.require_object("run"));
  state.run = base::to_ordered(run.node());
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader entries, json.require("checkpoints"));
  const nlohmann::json& list = entries.node();
  if (!list.is_array() || list.empty() || list.size() > kKept) {
    return json.error(base::Code::kCorrupt, "checkpoints", "is no list of checkpoints", "1 or 2");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const base::JsonReader entry(std::make_shared<const nlohmann::json>(list[i]), file,
                                 fmt::format("checkpoints[{}]", i));
    BELAY_ASSIGN_OR_RETURN(state.checkpoints.emplace_back(), checkpoint_of(entry));
  }
  return state;
}

Result<SavedState> read_saved_state(Env& env, const std::string& run_folder) {
  const std::string path = state_path(run_folder);
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxStateBytes));
  return parse_saved_state(text, path);
}

Status load_checkpoint(base::Context& ctx, Env& env, const std::string& run_folder,
                       const Checkpoint& checkpoint, model::Model& model, Optimizer& optimizer) {
  const std::string path = join_path(state_folder(run_folder), checkpoint.file());
  BELAY_ASSIGN_OR_RETURN(const store::TensorFiles files, store::TensorFiles::open(env, path));
  if (files.header_xxh3() != checkpoint.header_xxh3) {
    return base::corrupt({.where = path + ": header",
                          .what = "does not match its checksum",
                          .seen = base::hex64(files.header_xxh3()),
                          .allowed = base::hex64(checkpoint.header_xxh3),
                          .next = "the file was damaged after it was written"});
  }
  BELAY_RETURN_IF_ERROR(
      for_each_tensor(model, optimizer, [&](const std::string& name, std::size_t, auto values) {
        return files.read_f32(name, values);
      }));
  optimizer.set_steps(checkpoint.optimizer_steps);
  model.pack(ctx);
  return {};
}

std::int64_t checkpoint_bytes(const model::ModelConfig& config, const OptimizerOptions& options) {
  std::int64_t floats = 0, second = 0;
  for (const model::WeightSpec& w : model::weight_table(config)) {
    floats += w.shape.count();
    if (!(options.muon && w.muon)) second += w.shape.count();
  }
  return 4 * (2 * floats + second);
}

Checkpointer::Checkpointer(Env& env, std::string run_folder, ordered_json run,
                           std::optional<Checkpoint> earlier)
    : env_(env), folder_(std::move(run_folder)), run_(std::move(run)) {
  if (earlier) kept_.push_back(*earlier);
}

Status Checkpointer::wait() { return pending_.valid() ? pending_.get() : Status(); }

Status Checkpointer::save(const model::Model& model, const Optimizer& optimizer,
                          const LoopState& loop) {
  BELAY_RETURN_IF_ERROR(wait());
  if (loop.step == newest_step()) return {};
  Checkpoint checkpoint{loop, optimizer.steps(), 0};
  std::vector<store::TensorToWrite> tensors;
  BELAY_RETURN_IF_ERROR(
      for_each_tensor(model, optimizer, [&](const std::string& name, std::size_t i, auto values) {
        tensors.push_back(
            {.name = name, .shape = dims_of(model.table()[i].shape), .values = values});
        return Status();
      }));
  BELAY_ASSIGN_OR_RETURN(
      store::StagedSafetensors staged,
      store::stage_safetensors(env_, join_path(state_folder(folder_), checkpoint.file()), tensors,
                               {{"step", std::to_string(loop.step)}}));
  checkpoint.header_xxh3 = staged.header_xxh3;
  pending_ = std::async(std::launch::async, [this, s = std::move(staged), checkpoint,
                                             config = model.config()]() mutable {
    return commit(std::move(s), checkpoint, config);
  });
  return {};
}

Status Checkpointer::commit(store::StagedSafetensors staged, const Checkpoint& checkpoint,
                            const model::ModelConfig& config) {
  BELAY_RETURN_IF_ERROR(staged.file.commit());
  std::vector<Checkpoint> kept = {checkpoint};
  if (!kept_.empty()) kept.push_back(kept_.front());
  BELAY_RETURN_IF_ERROR(
      base::write_file_atomic(env_, state_path(folder_), compose_saved_state({run_, kept})));
  kept_ = std::move(kept);
  BELAY_RETURN_IF_ERROR(remove_others(env_, state_folder(folder_), kept_));
  return publish(config);
}

Status Checkpointer::publish(const model::ModelConfig& config) {
  const std::string path = join_path(state_folder(folder_), kept_.front().file());
  BELAY_ASSIGN_OR_RETURN(const store::TensorFiles files, store::TensorFiles::open(env_, path));
  std::vector<std::span<const float>> weights;
  for (const model::WeightSpec& w : model::weight_table(config)) {
    const store::TensorInfo* info = files.find("weights." + w.name());
    BELAY_CHECK(info != nullptr && info->count == w.shape.count(), "a checkpoint has all weights");
    weights.emplace_back(reinterpret_cast<const float*>(files.bytes(*info).data()),
                         static_cast<std::size_t>(info->count));
  }
  BELAY_RETURN_IF_ERROR(model::save_hf_folder(env_, join_path(folder_, "model"), config, weights,
                                              {.max_shard_bytes = UINT64_MAX}));
  published_ = kept_.front().loop.step;
  return {};
}

Status Checkpointer::finish(const model::Model& model) {
  BELAY_RETURN_IF_ERROR(wait());
  if (kept_.empty() || published_ == newest_step()) return {};
  return publish(model.config());
}

}  // namespace belay::train
