// The sections that are tables and lists: sections.h.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "report/html.h"
#include "report/parts.h"
#include "report/sections.h"

namespace belay::report {
namespace {

using nlohmann::json;
using store::number_at;
using store::RunRecord;
using store::text_at;

constexpr std::size_t kMaxRows = 40;  // of validations
constexpr std::size_t kMaxSamples = 12, kMaxSampleBytes = 1200;
constexpr std::size_t kMaxEvents = 50;

template <class Wanted>
std::vector<const json*> lines_with(const RunRecord& run, Wanted wanted) {
  std::vector<const json*> lines;
  for (const json& line : run.metrics) {
    if (wanted(line)) lines.push_back(&line);
  }
  return lines;
}

std::string count_of(const json& line, std::string_view name) {
  return count_or_empty(number_at(line, {name}));
}

}  // namespace

std::string figures_section(const RunRecord& run) {
  std::string html;
  if (const auto bpb = final_value(run, "val_bpb")) {
    html += figure("Validation", fixed(bpb, 4), "bits per byte",
                   "What a byte of unseen text costs. Guessing costs 8; lower is better.");
  }
  if (const auto loss = final_value(run, "loss")) {
    html += figure("Training loss", fixed(loss, 4), "nats per token",
                   "Mean surprise at the next token, at the last logged steps.");
  }
  const auto tokens = final_value(run, "tokens");
  if (tokens) {
    const auto steps = final_value(run, "step");
    const std::string words = steps ? fmt::format("Read in {:.0f} steps.", *steps) : "";
    html += figure("Tokens", base::count_text(*tokens), "", words);
  }
  const auto per_token = number_at(run.manifest, {"model", "flops_per_token"});
  const auto flops = final_value(run, "flops");
  if (tokens && (flops || per_token)) {
    html += figure("Compute", base::count_text(flops.value_or(*tokens * per_token.value_or(0))),
                   "FLOPs", "Six for each parameter and token, and those of attention.");
  }
  if (const auto seconds = final_value(run, "seconds"); seconds && *seconds > 0) {
    const std::string words =
        tokens ? fmt::format("{} tokens a second on average.", base::count_text(*tokens / *seconds))
               : "";
    html += figure("Time in training", base::duration_text(*seconds), "", words);
  }
  if (const auto parameters = number_at(run.manifest, {"model", "parameters"})) {
    html += figure("Parameters", base::count_text(*parameters), "",
                   "Numbers that training sets; an embedding that is used twice counts once.");
  }
  return html.empty() ? "" : "<dl class=\"figures\">\n" + html + "</dl>\n";
}

std::string comparison_section(const RunRecord& run) {
  std::vector<std::pair<std::string, double>> rows;
  const auto add = [&](std::string_view name, std::optional<double> bits) {
    if (bits && *bits > 0) rows.emplace_back(name, *bits);
  };
  add("this model", final_value(run, "val_bpb"));
  add("<code>xz -9e</code>, knowing the training text", number_at(run.manifest, {"xz_bpb"}));
  add("bigram of bytes, counted on the training text", number_at(run.manifest, {"bigram_bpb"}));
  if (rows.size() < 2 || rows[0].first != "this model") return "";
  double most = 0;
  for (const auto& [name, bits] : rows) most = std::max(most, bits);
  std::string html =
      "<h2>Beside simpler methods</h2>\n<p>Bits for each byte of the validation text: what a "
      "compressor would need that predicts as well. Shorter is better.</p>\n"
      "<div class=\"scroll\"><table>\n";
  for (const auto& [name, bits] : rows) {
    html += fmt::format(
        "<tr{}><td>{}</td><td>{:.4f}</td><td class=\"bar\"><i style=\"width:{:.1f}%\"></i></td>"
        "</tr>\n",
        name == "this model" ? " class=\"this\"" : "", name, bits, 100 * bits / most);
  }
  return html + "</table></div>\n";
}

std::string validation_section(const RunRecord& run) {
  const auto lines =
      lines_with(run, [](const json& line) { return number_at(line, {"val_loss"}).has_value(); });
  if (lines.size() < 2) return "";
  std::string html = fmt::format(
      "<details><summary>{} validations as a table</summary>\n<div class=\"scroll\"><table>\n"
      "<tr><th>step</th><th>tokens</th><th>nats per token</th><th>bits per byte</th></tr>\n",
      lines.size());
  for (const std::size_t i : spread(lines.size(), kMaxRows)) {
    const json& line = *lines[i];
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                        fixed(number_at(line, {"step"}), 0), count_of(line, "tokens"),
                        fixed(number_at(line, {"val_loss"}), 4),
                        fixed(number_at(line, {"val_bpb"}), 4));
  }
  return html + "</table></div></details>\n";
}

std::string samples_section(const RunRecord& run) {
  const auto lines =
      lines_with(run, [](const json& line) { return text_at(line, {"sample"}).has_value(); });
  if (lines.empty()) return "";
  std::string html =
      "<h2>Samples along the way</h2>\n<p>What the model wrote at that time, drawn at random from "
      "its own probabilities, in answer to the words in grey.</p>\n<div class=\"samples\">\n";
  for (const std::size_t i : spread(lines.size(), kMaxSamples)) {
    const json& line = *lines[i];
    const std::string prompt = text_at(line, {"prompt"}).value_or("");
    const std::string text = text_at(line, {"sample"}).value_or("");
    const std::string tokens = count_of(line, "tokens");
    html += fmt::format(
        "<div class=\"sample\"><div class=\"note\">step {}{}</div><blockquote><b>{}</b>{}"
        "</blockquote></div>\n",
        fixed(number_at(line, {"step"}), 0), tokens.empty() ? "" : "<br>" + tokens + " tokens",
        escape(cut(prompt, kMaxSampleBytes)), escape(cut(text, kMaxSampleBytes)));
  }
  return html + "</div>\n";
}

namespace {

struct PlanRow {
  const char *key, *name, *words;
  std::string (*text)(double);
};

std::string bytes_of(double bytes) {
  return bytes >= 0 && bytes < 1e18 ? base::bytes_text(static_cast<std::uint64_t>(bytes)) : "?";
}

constexpr std::array<PlanRow, 7> kPlanRows = {{
    {"memory_bytes", "Memory",
     "Weights, gradients, optimizer, activations, data and the program; measured: the most that it "
     "ever held",
     bytes_of},
    {"tokens_per_second", "Tokens a second",
     "Planned from a few real steps before the start; measured over the training itself",
     base::count_text},
    {"tokens", "Tokens", "That the model is trained on, repetitions counted", base::count_text},
    {"flops", "FLOPs", "Tokens times what a token costs", base::count_text},
    {"seconds", "Time", "In training, without validation and saving", base::duration_text},
    {"disk_bytes", "Disk",
     "The run folder: the model and the last two checkpoints, once "
     "there are two",
     bytes_of},
    {"price", "Money", "Time in training at the price of an hour that was given", money_text},
}};

}  // namespace

std::string plan_section(const RunRecord& run) {
  std::string rows;
  for (const PlanRow& row : kPlanRows) {
    const auto planned = number_at(run.manifest, {"plan", row.key});
    const auto measured = number_at(run.manifest, {"measured", row.key});
    if (!planned && !measured) continue;
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td></tr>\n",
        row.name, planned ? row.text(*planned) : "", measured ? row.text(*measured) : "",
        difference(planned, measured), row.words);
  }
  if (rows.empty()) return "";
  return "<h2>Plan beside measured</h2>\n<p>What was said before the start, and what came of it."
         "</p>\n<div class=\"scroll\"><table "
         "class=\"plan\">\n<tr><th></th><th>planned</th><th>measured</th>"
         "<th>difference</th><th></th></tr>\n" +
         rows + "</table></div>\n";
}

std::string events_section(const RunRecord& run) {
  const auto lines =
      lines_with(run, [](const json& line) { return text_at(line, {"event"}).has_value(); });
  const auto skipped = number_at(run.manifest, {"skipped_steps"}).value_or(0);
  if (lines.empty() && skipped == 0 && run.unreadable_lines == 0) return "";
  std::string html = "<h2>What happened on the way</h2>\n";
  if (skipped > 0) {
    html += fmt::format(
        "<p>{:.0f} steps were skipped because their gradients were not finite; nothing was changed "
        "by them.</p>\n",
        skipped);
  }
  if (run.unreadable_lines > 0) {
    html += fmt::format("<p>{} lines of metrics.jsonl could not be read and are not shown.</p>\n",
                        run.unreadable_lines);
  }
  if (lines.empty()) return html;
  html += "<dl class=\"facts\">\n";
  for (std::size_t i = 0; i < std::min(lines.size(), kMaxEvents); ++i) {
    const json& line = *lines[i];
    const auto text = text_at(line, {"message"});
    html += fmt::format("<dt>step {}</dt><dd>{}</dd>\n", fixed(number_at(line, {"step"}), 0),
                        escape(cut(text.value_or(*text_at(line, {"event"})), 2000)));
  }
  html += "</dl>\n";
  if (lines.size() > kMaxEvents) {
    html += fmt::format("<p class=\"note\">{} more are in metrics.jsonl.</p>\n",
                        lines.size() - kMaxEvents);
  }
  return html;
}

}  // namespace belay::report
