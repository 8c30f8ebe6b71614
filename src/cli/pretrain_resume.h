// belay pretrain --resume: the options of a run from its manifest, and what may differ from them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "cli/pretrain_options.h"

namespace belay::cli {

/// The options that run.json names, with those of `typed` that do not decide the run (threads, how
/// often it is saved, where the same data lie now). Another typed value of one that decides is an
/// error that names both. `out` becomes the folder of the run.
base::Result<PretrainArguments> resumed_arguments(Verb typed, const std::string& run_folder,
                                                  const base::JsonReader& manifest);

/// What decides the bits of a run, as its checkpoints keep it: {"options", "data", "machine"}.
nlohmann::ordered_json identity_of(const PretrainArguments& arguments,
                                   const train::PretrainOptions& options,
                                   const nlohmann::ordered_json& data, const Compute& compute);

/// Fails when the checkpoint is of a run with other options or other data.
base::Status check_same_run(const nlohmann::ordered_json& of_checkpoint,
                            const nlohmann::ordered_json& now, const std::string& run_folder);

/// The same for a fork: how long the run is, and how it ends, may differ.
base::Status check_same_trunk(const nlohmann::ordered_json& of_checkpoint,
                              const nlohmann::ordered_json& now, const std::string& run_folder);

/// What the checkpoint was computed with and this process does not have (instruction set, version),
/// or nothing: the run goes on, but its bits are not those of a run that was never stopped.
std::string machine_difference(const nlohmann::ordered_json& of_checkpoint,
                               const nlohmann::ordered_json& now);

}  // namespace belay::cli
