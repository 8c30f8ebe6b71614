// Checkpoints of a run: DIR/state/ holds the last two, and DIR/model/ the weights of the newest one
// as a Hugging Face folder.
//
//   state/step-0000000200.safetensors   weights.NAME, first.NAME, second.NAME: f32, by weight table
//   state/checkpoint.json               which of them count, their counters, what run they are of
//
// Invariant: checkpoint.json is replaced last and names only files that are durable and complete,
// so a crash at any moment leaves the old checkpoints or the new ones. Every byte is under a
// checksum: tensors under their own, the header of a file under one in checkpoint.json, and that
// file under its seal. model/ is written after it, from the durable file, one file at a time: a
// reader finds the weights of one checkpoint or of the one before. docs/formats.md has the formats.
#pragma once

#include <cstdint>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "model/model.h"
#include "store/safetensors_writer.h"
#include "train/loop_state.h"
#include "train/optimizer.h"

namespace belay::train {

struct Checkpoint {
  LoopState loop;
  std::int64_t optimizer_steps = 0;
  std::uint64_t header_xxh3 = 0;  // of its safetensors file
  std::string file() const;       // a name in state/
};

/// The content of checkpoint.json.
struct SavedState {
  nlohmann::ordered_json run;           // what decides the bits of the run: options, data, machine
  std::vector<Checkpoint> checkpoints;  // one or two, the newest first
};

std::string compose_saved_state(const SavedState& state);
/// `file` is what messages call the text.
base::Result<SavedState> parse_saved_state(std::string_view text, const std::string& file);
/// kNotFound when there is no checkpoint yet.
base::Result<SavedState> read_saved_state(base::Env& env, const std::string& run_folder);

/// Reads the tensors of a checkpoint. After a failure, which names the file and the tensor, model
/// and optimizer hold parts of it and must be loaded again.
base::Status load_checkpoint(base::Context& ctx, base::Env& env, const std::string& run_folder,
                             const Checkpoint& checkpoint, model::Model& model,
                             Optimizer& optimizer);

/// Bytes on disk of one checkpoint with the model beside it, and of two while they are replaced.
std::int64_t checkpoint_bytes(const model::ModelConfig& config, const OptimizerOptions& options);

class Checkpointer {
 public:
  /// The folder's state/ exists. earlier: the checkpoint that the run goes on from, if any.
  Checkpointer(base::Env& env, std::string run_folder, nlohmann::ordered_json run,
               std::optional<Checkpoint> earlier = std::nullopt);

  /// Writes a checkpoint into the page cache and returns; fsync, rename, checkpoint.json and
  /// model/ follow on a thread of their own, which the next call waits for. What failed there is
  /// returned there: a checkpoint is certain only after finish(). No-op for the newest step.
  base::Status save(const model::Model& model, const Optimizer& optimizer, const LoopState& loop);

  /// Waits until the last checkpoint is durable and model/ holds its weights.
  base::Status finish(const model::Model& model);

  /// The step of the newest durable checkpoint, as far as known; -1: none.
  std::int64_t newest_step() const { return kept_.empty() ? -1 : kept_.front().loop.step; }

 private:
  base::Status commit(store::StagedSafetensors staged, const Checkpoint& checkpoint,
                      const model::ModelConfig& config);
  base::Status publish(const model::ModelConfig& config);
  base::Status wait();

  base::Env& env_;
  std::string folder_;
  nlohmann::ordered_json run_;
  std::vector<Checkpoint> kept_;  // named by checkpoint.json, the newest first
  std::int64_t published_ = -1;   // the step whose weights model/ holds
  std::future<base::Status> pending_;
};

}  // namespace belay::train
