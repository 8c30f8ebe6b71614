#include "report/run_report.h"

#include "report/html.h"
#include "report/page.h"
#include "report/sections.h"
#include "report/series.h"
#include "store/run_record.h"

namespace belay::report {

base::Status write_run_report(base::Env& env, const std::string& run_folder) {
  BELAY_ASSIGN_OR_RETURN(const store::RunRecord run, store::read_run(env, run_folder));
  const std::string html = page({.title = escape(run.name) + " &middot; Belay",
                                 .body = sections(run, env.wall_seconds()),
                                 .series = script_json(series_of(run))});
  return base::write_file_atomic(env, base::join_path(run.folder, "report.html"), html);
}

}  // namespace belay::report
