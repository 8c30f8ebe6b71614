#include "report/sections.h"

#include <fmt/core.h>

#include <cmath>

#include "base/units.h"
#include "report/html.h"
#include "report/parts.h"

namespace belay::report {
namespace {

using nlohmann::json;
using store::number_at;
using store::RunRecord;
using store::text_at;

std::string_view status_words(std::string_view status) {
  if (status == "done") return "Done.";
  if (status == "running") return "Still training when this page was written.";
  if (status == "interrupted") return "Stopped before its end, and saved.";
  if (status == "failed") return "Failed.";
  return "In an unknown state.";
}

/// " of 1.38M parameters", or nothing where the run does not say.
std::string of_parameters(const RunRecord& run) {
  const auto n = number_at(run.manifest, {"model", "parameters"});
  return n ? fmt::format(" of {} parameters", base::count_text(*n)) : "";
}

std::string header(const RunRecord& run) {
  const std::string status = text_at(run.manifest, {"status"}).value_or("");
  std::string lead = "A language model" + of_parameters(run);
  if (const auto data = text_at(run.manifest, {"data", "name"})) {
    lead += ", trained on " + escape(*data);
  }
  if (const auto seconds = final_value(run, "seconds")) {
    lead += " for " + base::duration_text(*seconds);
  }
  lead += ".";
  if (const auto bpb = final_value(run, "val_bpb")) {
    lead +=
        fmt::format(" It predicts text that it was not trained on at {:.4g} bits per byte.", *bpb);
  }
  std::string html = fmt::format(
      "<header>\n<p class=\"kind\">Belay &middot; pretraining run</p>\n<h1>{}</h1>\n"
      "<p class=\"lead\">{} <span class=\"status {}\">{}</span></p>\n",
      escape(run.name), lead, escape(status), status_words(status));
  if (const auto error = text_at(run.manifest, {"error"})) {
    html += fmt::format("<pre>{}</pre>\n", escape(*error));
  }
  return html + "</header>\n";
}

std::string_view loss_section() {
  return R"(<h2>Loss</h2>
<p>How surprised the model is by the next token, in nats: the negative logarithm of the probability
that it gave it. The blue line is of the text that it learns from, the points are of text that is
kept apart, which is what counts.</p>
<div class="choice">
<fieldset><legend>against</legend>
<label><input type="radio" name="axis" value="tokens" checked>tokens</label>
<label><input type="radio" name="axis" value="flops">FLOPs</label>
<label><input type="radio" name="axis" value="seconds">seconds</label></fieldset>
<fieldset><legend>axis</legend>
<label><input type="radio" name="scale" value="linear" checked>linear</label>
<label><input type="radio" name="scale" value="logarithmic">logarithmic</label></fieldset>
</div>
<figure>
<div class="key"><span class="t">training</span><span class="v">validation</span><em class="unit">
nats per token; lower is better</em></div>
<div class="canvas">
<canvas id="loss" role="img" aria-label="Training and validation loss over the run"></canvas>
</div>
</figure>
)";
}

std::string_view pace_section() {
  return R"(<h2>Pace and steps</h2>
<div class="small">
<figure><h3>Tokens a second</h3><figcaption>Even is good; a dip is another program's work, a
checkpoint or a validation.</figcaption>
<div class="canvas"><canvas id="speed" role="img" aria-label="Tokens a second"></canvas></div>
</figure>
<figure><h3>Gradient norm</h3><figcaption>Length of the step that the data asks for, before
clipping. A spike marks unusual text.</figcaption>
<div class="canvas"><canvas id="norm" role="img" aria-label="Gradient norm"></canvas></div>
</figure>
<figure><h3>Learning rate</h3><figcaption>How far a step goes. It rises at first, and falls to the
end.</figcaption>
<div class="canvas"><canvas id="rate" role="img" aria-label="Learning rate"></canvas></div>
</figure>
</div>
)";
}

std::string_view words_section() {
  return R"(<h2>The words</h2>
<dl class="words">
<div><dt>Token</dt><dd>What the model reads and predicts one at a time: a byte, or a piece of text
that the tokenizer knows.</dd></div>
<div><dt>Nats per token</dt><dd>The loss: the mean of &minus;ln p, where p is the probability that
the model gave the token that came. Guessing evenly among V tokens costs ln V. Depends on the
tokenizer.</dd></div>
<div><dt>Bits per byte</dt><dd>The same surprise, counted in bits and divided by the bytes of the
raw text, so that models with other tokenizers, and compressors, can be compared. Guessing evenly
costs 8.</dd></div>
<div><dt>Validation</dt><dd>On text that is kept apart from training. When it rises while training
loss falls, the model learns its text by heart.</dd></div>
<div><dt>FLOPs</dt><dd>Multiplications and additions of forward and backward: six for each
parameter and token, and those of attention. What does not multiply is not counted.</dd></div>
<div><dt>Step</dt><dd>One change of the weights, from the gradients of one batch of
tokens.</dd></div>
</dl>
)";
}

}  // namespace

std::optional<double> final_value(const RunRecord& run, std::string_view name) {
  for (auto line = run.metrics.rbegin(); line != run.metrics.rend(); ++line) {
    if (const auto value = number_at(*line, {name})) return value;
  }
  return number_at(run.manifest, {name});
}

std::string sections(const RunRecord& run, double now) {
  std::string html = header(run);
  html += figures_section(run);
  html += loss_section();
  html += comparison_section(run);
  html += validation_section(run);
  html += samples_section(run);
  html += plan_section(run);
  html += pace_section();
  html += events_section(run);
  html += facts_section(run.manifest, "What this run is");
  html += words_section();
  return html + footer(run.manifest, now);
}

}  // namespace belay::report
