// What a reader should know first: the verdict and the figures of a climb. climb_sections.h.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "report/climb_sections.h"
#include "report/html.h"
#include "report/parts.h"
#include "store/run_record.h"

namespace belay::report {
namespace {

using base::count_text;
using store::text_at;

std::string_view status_words(std::string_view status) {
  if (status == "done") return "Done.";
  if (status == "running") return "Still climbing when this page was written.";
  if (status == "interrupted") return "Stopped before its end, and saved.";
  return "In an unknown state.";
}

std::string interval_text(const Verdict& v) {
  return v.low80 && v.high80 ? fmt::format(" (80 %: {:.3f} to {:.3f})", *v.low80, *v.high80) : "";
}

/// "<b>straight line</b> said 2.881, 0.1 % off".
std::string baseline_text(const Verdict& v, std::string_view name, double said) {
  return fmt::format("&ldquo;{}&rdquo; said {:.3f}, {:.1f} % off", name, said,
                     v.percent_off(said).value_or(0));
}

struct Baseline {
  std::string_view name;
  std::optional<double> said, crps;
};

/// How the simple baselines fared; `lost` tells whether one of them did better.
std::string baselines_text(const Verdict& v, bool& lost) {
  std::string better, worse;
  int n_worse = 0;
  for (const Baseline& one : {Baseline{"no change", v.no_change, v.crps_no_change},
                              Baseline{"straight line", v.straight_line, v.crps_straight_line}}) {
    if (!one.said) continue;
    if (v.lost_to(one.said, one.crps)) {
      better += (better.empty() ? "" : "; ") + baseline_text(v, one.name, *one.said);
      if (*v.percent_off(one.said) >= *v.percent_off(v.median)) {
        better += fmt::format(" (no nearer, but better scored: CRPS {:.4f} against {:.4f})",
                              *one.crps, *v.crps);
      }
    } else {
      worse += (worse.empty() ? "" : "; ") + baseline_text(v, one.name, *one.said);
      ++n_worse;
    }
  }
  lost = !better.empty();
  if (lost) return "<b>A simple baseline did better:</b> " + better + ".";
  if (n_worse == 0) return "";
  return (n_worse == 2 ? "It beat both simple baselines: " : "It beat the simple baseline: ") +
         worse + ".";
}

std::string outcome_text(const Verdict& v) {
  const double off = *v.percent_off(v.median);
  std::string text =
      fmt::format("Predicted <b>{:.3f}</b> nats a token{}; measured <b>{:.3f}</b>: ", *v.median,
                  interval_text(v), *v.measured);
  if (const auto inside = v.inside()) text += *inside ? "inside, " : "<b>outside</b>, ";
  return text + fmt::format("{:.1f} % off.", off);
}

std::string progress_text(const Climb& climb) {
  const auto plan = climb.document.find("plan");
  std::size_t planned = 0;
  if (plan != climb.document.end() && plan->is_object() && plan->contains("rungs") &&
      (*plan)["rungs"].is_array()) {
    planned = (*plan)["rungs"].size();
  }
  const std::size_t trained = climb.rungs.size() + climb.n_left_out;
  std::string text = planned > 0 ? fmt::format("{} of {} rungs are trained.", trained, planned)
                                 : fmt::format("{} rungs are trained.", trained);
  return text +
         " The next, larger one is predicted from them before it is trained; the prediction "
         "is still to come.";
}

std::string verdict_text(const Climb& climb) {
  const Verdict v = verdict_of(climb);
  if (!v.median) return progress_text(climb);
  const auto params = size_at(climb.document, {"next", "params"}, 1);
  const auto tokens = size_at(climb.document, {"next", "tokens"}, 1);
  const std::string model = params && tokens ? fmt::format("a model of {} parameters on {} tokens",
                                                           count_text(*params), count_text(*tokens))
                                             : "the next model";
  if (!v.measured) {
    return fmt::format(
        "Predicted <b>{:.3f}</b> nats a token{} for {}. Its training is still to come.", *v.median,
        interval_text(v), model);
  }
  bool lost = false;
  const std::string baselines = baselines_text(v, lost);
  const std::string outcome = outcome_text(v);
  return lost ? baselines + " " + outcome : outcome + (baselines.empty() ? "" : " " + baselines);
}

std::string off_figure(const Verdict& v) {
  const auto off = v.percent_off(v.median);
  if (!off) return "";
  std::string words;
  const auto add = [&](std::string_view name, std::optional<double> said) {
    if (!said) return;
    words += words.empty() ? "The baselines: " : ", ";
    words += fmt::format("{} {:.1f} %", name, *v.percent_off(said));
  };
  add("no change", v.no_change);
  add("straight line", v.straight_line);
  return figure("Off by", fmt::format("{:.1f} %", *off), "", words.empty() ? "" : words + ".");
}

}  // namespace

std::optional<double> Verdict::percent_off(std::optional<double> predicted) const {
  if (!predicted || !measured) return std::nullopt;
  return 100 * std::fabs(*predicted / *measured - 1);
}

std::optional<bool> Verdict::inside() const {
  if (!measured || !low80 || !high80) return std::nullopt;
  return *low80 <= *measured && *measured <= *high80;
}

bool Verdict::lost_to(std::optional<double> baseline, std::optional<double> baseline_crps) const {
  const auto ours = percent_off(median), theirs = percent_off(baseline);
  if (!ours || !theirs) return false;
  return *theirs < *ours || (crps && baseline_crps && *baseline_crps < *crps);
}

Verdict verdict_of(const Climb& climb) {
  const auto forecast = [&](std::string_view name) {
    return size_at(climb.document, {"next", "forecast", name});
  };
  const auto outcome = [&](std::string_view name) {
    return size_at(climb.document, {"next", "outcome", name}, 0);
  };
  return {.median = forecast("median"),
          .low80 = forecast("low80"),
          .high80 = forecast("high80"),
          .measured = size_at(climb.document, {"next", "outcome", "val_loss"}),
          .no_change = forecast("no_change"),
          .straight_line = forecast("straight_line"),
          .crps = outcome("crps"),
          .crps_no_change = outcome("crps_no_change"),
          .crps_straight_line = outcome("crps_straight_line")};
}

std::string climb_header(const Climb& climb) {
  const std::string status = text_at(climb.document, {"status"}).value_or("");
  return fmt::format(
      "<header>\n<p class=\"kind\">Belay &middot; climb</p>\n<h1>{}</h1>\n<p class=\"lead\">{} "
      "<span class=\"status {}\">{}</span></p>\n</header>\n",
      escape(climb.name), verdict_text(climb), escape(status), status_words(status));
}

std::string climb_strip(const Climb& climb) {
  const Verdict v = verdict_of(climb);
  if (!v.median) return "";
  const auto forecast = [&](std::string_view name) {
    return size_at(climb.document, {"next", "forecast", name});
  };
  double least = *v.median, most = *v.median;
  for (const auto& value : {v.measured, v.no_change, v.straight_line, v.low80, v.high80,
                            forecast("low95"), forecast("high95")}) {
    least = std::min(least, value.value_or(least));
    most = std::max(most, value.value_or(most));
  }
  const double room = std::max(0.06 * (most - least), 1e-4 * most);
  const auto place = [&](double value) {
    return 100 * (value - least + room) / (most - least + 2 * room);
  };
  std::string marks, key;
  for (const auto& [low, high] :
       {std::pair{forecast("low95"), forecast("high95")}, std::pair{v.low80, v.high80},
        std::pair{forecast("low50"), forecast("high50")}}) {
    if (!low || !high || *low > *high) continue;
    marks += fmt::format("<i class=\"band\" style=\"left:{:.2f}%;width:{:.2f}%\"></i>", place(*low),
                         place(*high) - place(*low));
  }
  const auto mark = [&](std::optional<double> value, std::string_view kind, std::string_view colour,
                        std::string_view name) {
    if (!value) return;
    marks += fmt::format("<i class=\"{}\" style=\"left:{:.2f}%\"></i>", kind, place(*value));
    key += fmt::format("<span><i class=\"{}\" style=\"color:var(--{})\"></i>{} {:.3f}</span>", kind,
                       colour, name, *value);
  };
  mark(v.median, "tick", "valid", "predicted");
  mark(v.no_change, "ring", "soft", "no change");
  mark(v.straight_line, "ring line", "train", "straight line");
  mark(v.measured, "dot", "ink", "measured");
  return fmt::format(
      "<figure>\n<div class=\"key\">{}<em class=\"unit\">nats a token; shaded: the 50, 80 and 95 % "
      "intervals</em></div>\n<div class=\"strip\">{}</div>\n<div class=\"ends\"><span>{:.3f}</span>"
      "<span>{:.3f}</span></div>\n</figure>\n",
      key, marks, least - room, most + room);
}

std::string climb_figures(const Climb& climb) {
  const Verdict v = verdict_of(climb);
  const nlohmann::json& document = climb.document;
  std::string html;
  if (v.median) {
    const std::string words = v.low80 && v.high80
                                  ? fmt::format(
                                        "80 % sure: between {:.3f} and {:.3f}. Written down before "
                                        "the model was trained.",
                                        *v.low80, *v.high80)
                                  : "Written down before the model was trained.";
    html += figure("Predicted", fixed(v.median, 3), "nats a token", words);
  }
  if (v.measured) {
    const auto bpb = size_at(document, {"next", "outcome", "val_bpb"});
    html += figure("Measured", fixed(v.measured, 3), "nats a token",
                   bpb ? fmt::format("{:.3f} bits per byte, on text kept apart.", *bpb)
                       : "On text kept apart.");
  }
  html += off_figure(v);
  const auto params = size_at(document, {"next", "params"}, 1);
  if (params) {
    const auto tokens = size_at(document, {"next", "tokens"}, 1);
    const auto flops = size_at(document, {"next", "flops"}, 1);
    std::string words = tokens ? fmt::format("Trained on {} tokens", count_text(*tokens)) : "";
    const auto largest = climb.rungs.empty() ? std::nullopt : climb.rungs.back().flops;
    if (tokens && flops && largest) {
      words += fmt::format(", for {:.3g} times the compute of the largest rung", *flops / *largest);
    }
    html += figure("The next rung", count_text(*params), "parameters",
                   words.empty() ? "" : words + ".");
  }
  if (!climb.rungs.empty()) {
    double seconds = 0;
    for (const Rung& rung : climb.rungs) seconds += rung.seconds.value_or(0);
    html +=
        figure("The ladder", fmt::format("{}", climb.rungs.size() + climb.n_left_out), "rungs",
               seconds > 0 ? "Small models, trained in " + base::duration_text(seconds) + "." : "");
  }
  if (const auto a = size_at(document, {"fit", "a", "value"})) {
    html += figure("Best size grows like", fmt::format("C<sup>{:.2f}</sup>", *a), "C: compute",
                   fmt::format("Ten times the compute is spent best on {:.1f} times the parameters "
                               "and {:.1f} times the tokens.",
                               std::pow(10, *a), std::pow(10, 1 - *a)));
  }
  return html.empty() ? "" : "<dl class=\"figures\">\n" + html + "</dl>\n";
}

}  // namespace belay::report
