#include "report/climb_report.h"

#include "report/climb_record.h"
#include "report/climb_sections.h"
#include "report/climb_series.h"
#include "report/html.h"
#include "report/page.h"

namespace belay::report {

base::Status write_climb_report(base::Env& env, const std::string& folder) {
  BELAY_ASSIGN_OR_RETURN(const Climb climb, read_climb(env, folder));
  const std::string html = page({.kind = PageKind::kClimb,
                                 .title = escape(climb.name) + " &middot; Belay",
                                 .body = climb_sections(climb, env.wall_seconds()),
                                 .series = script_json(climb_series(climb))});
  return base::write_file_atomic(env, base::join_path(folder, "report.html"), html);
}

}  // namespace belay::report
