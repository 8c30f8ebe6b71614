// runs/index.db: an SQLite database of the runs below one folder, one row a run, for lists and
// questions of one's own (`sqlite3 runs/index.db`). It holds nothing that the folders do not: it is
// made anew from them at any time, and a missing, old or damaged one is replaced.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace belay::store {

/// A run in one row; what it does not say is absent.
struct RunRow {
  std::string name;    // of its folder
  std::string kind;    // "pretrain"
  std::string status;  // "running", "done", "interrupted", "failed"; "unreadable": see error
  std::string data;    // name of the data
  std::string error;
  std::optional<double> started;  // seconds since 1970
  std::optional<double> parameters, steps, tokens, flops, seconds, tokens_per_second;
  std::optional<double> loss, val_loss, val_bpb;
};

/// One run from its folder. A run.json that cannot be read is a row with its error.
RunRow run_row(base::Env& env, const std::string& folder);

/// Every folder in RUNS that holds a run.json, in order of their names.
base::Result<std::vector<RunRow>> scan_runs(base::Env& env, const std::string& runs_folder);

/// The database as the bytes of its file: table `runs`, the columns as in RunRow.
base::Result<std::string> run_index_bytes(const std::vector<RunRow>& rows);

/// Writes RUNS/index.db, whole or not at all.
base::Status write_run_index(base::Env& env, const std::string& runs_folder,
                             const std::vector<RunRow>& rows);

}  // namespace belay::store
