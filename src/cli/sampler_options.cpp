#include "cli/sampler_options.h"

#include <nlohmann/json.hpp>

namespace belay::cli {

void add_sampler_options(Verb verb, infer::SamplerOptions& o) {
  const auto add = [&verb](const char* name, auto& value, const char* about) {
    verb.option(name, value, about);
  };
  add("--seed", o.seed, "Of the draws: the same seed gives the same text");
  add("--temperature", o.temperature, "Flattens (above 1) or sharpens the draws; 0: greedy");
  add("--top-k", o.top_k, "Draw among the k most probable tokens; 0: all");
  add("--top-p", o.top_p, "Draw among the fewest tokens whose probability reaches p");
  add("--min-p", o.min_p, "Draw among tokens at least so probable, beside the most probable one");
  add("--repetition-penalty", o.repetition_penalty,
      "Makes tokens of prompt and text less probable (above 1)");
  add("--presence-penalty", o.presence_penalty, "Taken from the logit of a token of the text");
  add("--frequency-penalty", o.frequency_penalty, "The same for each time it stands there");
}

void add_sampler(nlohmann::ordered_json& report, const infer::SamplerOptions& o) {
  report["seed"] = o.seed;
  report["temperature"] = o.temperature;
  report["top_k"] = o.top_k;
  report["top_p"] = o.top_p;
  report["min_p"] = o.min_p;
  report["repetition_penalty"] = o.repetition_penalty;
  report["presence_penalty"] = o.presence_penalty;
  report["frequency_penalty"] = o.frequency_penalty;
}

}  // namespace belay::cli
