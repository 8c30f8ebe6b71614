#include "store/run_index.h"

#include <sqlite3.h>

#include <array>
#include <memory>

#include "store/run_record.h"

namespace belay::store {
namespace {

using base::Result;
using base::Status;

struct Column {
  const char* name;
  std::optional<double> RunRow::*value;
};
constexpr std::array<Column, 10> kNumbers = {{{"started", &RunRow::started},
                                              {"parameters", &RunRow::parameters},
                                              {"steps", &RunRow::steps},
                                              {"tokens", &RunRow::tokens},
                                              {"flops", &RunRow::flops},
                                              {"seconds", &RunRow::seconds},
                                              {"tokens_per_second", &RunRow::tokens_per_second},
                                              {"loss", &RunRow::loss},
                                              {"val_loss", &RunRow::val_loss},
                                              {"val_bpb", &RunRow::val_bpb}}};
struct TextColumn {
  const char* name;
  std::string RunRow::*value;
};
constexpr std::array<TextColumn, 5> kTexts = {{{"name", &RunRow::name},
                                               {"kind", &RunRow::kind},
                                               {"status", &RunRow::status},
                                               {"data", &RunRow::data},
                                               {"error", &RunRow::error}}};

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

Status failure(sqlite3* database, int code) {
  return base::io_error({.where = "the index of runs",
                         .what = "SQLite says: " + base::printable(sqlite3_errmsg(database)),
                         .seen = "code " + std::to_string(code)});
}

Status execute(sqlite3* database, const std::string& sql) {
  const int code = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : failure(database, code);
}

Status bind(sqlite3* database, sqlite3_stmt* statement, const RunRow& row) {
  int place = 0, code = SQLITE_OK;
  for (const TextColumn& column : kTexts) {
    const std::string& text = row.*column.value;
    if (code == SQLITE_OK) {
      code = sqlite3_bind_text(statement, ++place, text.data(), static_cast<int>(text.size()),
                               SQLITE_TRANSIENT);
    }
  }
  for (const Column& column : kNumbers) {
    const std::optional<double>& value = row.*column.value;
    if (code != SQLITE_OK) break;
    ++place;
    code =
        value ? sqlite3_bind_double(statement, place, *value) : sqlite3_bind_null(statement, place);
  }
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code == SQLITE_DONE) code = sqlite3_reset(statement);
  return code == SQLITE_OK ? Status() : failure(database, code);
}

/// The last line that has the field, else the manifest.
std::optional<double> last_of(const RunRecord& run, std::string_view name) {
  for (auto line = run.metrics.rbegin(); line != run.metrics.rend(); ++line) {
    if (const auto value = number_at(*line, {name})) return value;
  }
  return number_at(run.manifest, {name});
}

}  // namespace

RunRow run_row(base::Env& env, const std::string& folder) {
  RunRow row;
  row.name = base::base_name(folder);
  const auto run = read_run(env, folder);
  if (!run.ok()) {
    row.status = "unreadable";
    row.error = run.status().message();
    return row;
  }
  const nlohmann::json& manifest = run->manifest;
  row.name = run->name;
  row.kind = text_at(manifest, {"kind"}).value_or("");
  row.status = text_at(manifest, {"status"}).value_or("");
  row.data = text_at(manifest, {"data", "name"}).value_or("");
  row.error = text_at(manifest, {"error"}).value_or("");
  row.started = number_at(manifest, {"started"});
  row.parameters = number_at(manifest, {"model", "parameters"});
  row.steps = last_of(*run, "step");
  row.tokens = last_of(*run, "tokens");
  row.flops = last_of(*run, "flops");
  row.seconds = last_of(*run, "seconds");
  row.loss = last_of(*run, "loss");
  row.val_loss = last_of(*run, "val_loss");
  row.val_bpb = last_of(*run, "val_bpb");
  if (row.tokens && row.seconds && *row.seconds > 0) {
    row.tokens_per_second = *row.tokens / *row.seconds;
  }
  return row;
}

Result<std::vector<RunRow>> scan_runs(base::Env& env, const std::string& runs_folder) {
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(runs_folder));
  std::vector<RunRow> rows;
  for (const std::string& name : names) {
    const std::string folder = base::join_path(runs_folder, name);
    if (is_run_folder(env, folder)) rows.push_back(run_row(env, folder));
  }
  return rows;
}

Result<std::string> run_index_bytes(const std::vector<RunRow>& rows) {
  sqlite3* opened = nullptr;
  const int code =
      sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  const Database database(opened);
  if (code != SQLITE_OK) return failure(opened, code);
  std::string columns, places;
  for (const TextColumn& column : kTexts) columns += std::string(column.name) + " TEXT, ";
  for (const Column& column : kNumbers) columns += std::string(column.name) + " REAL, ";
  for (std::size_t i = 0; i < kTexts.size() + kNumbers.size(); ++i) places += i == 0 ? "?" : ", ?";
  columns.resize(columns.size() - 2);
  BELAY_RETURN_IF_ERROR(execute(opened, "CREATE TABLE runs (" + columns + "); BEGIN"));
  sqlite3_stmt* prepared = nullptr;
  const std::string insert = "INSERT INTO runs VALUES (" + places + ")";
  const int ready = sqlite3_prepare_v2(opened, insert.c_str(), -1, &prepared, nullptr);
  Statement statement(prepared);
  if (ready != SQLITE_OK) return failure(opened, ready);
  for (const RunRow& row : rows) BELAY_RETURN_IF_ERROR(bind(opened, prepared, row));
  statement.reset();
  BELAY_RETURN_IF_ERROR(execute(opened, "COMMIT"));
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, decltype(&sqlite3_free)> bytes(
      sqlite3_serialize(opened, "main", &size, 0), &sqlite3_free);
  if (!bytes) return failure(opened, SQLITE_NOMEM);
  return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(size));
}

Status write_run_index(base::Env& env, const std::string& runs_folder,
                       const std::vector<RunRow>& rows) {
  BELAY_ASSIGN_OR_RETURN(const std::string bytes, run_index_bytes(rows));
  return base::write_file_atomic(env, base::join_path(runs_folder, "index.db"), bytes);
}

}  // namespace belay::store
