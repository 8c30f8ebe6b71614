// belay climb: the ladder, the forecast, and the next rung that proves it.
#include "climb/climb.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdio>

#include "base/cpu.h"
#include "base/units.h"
#include "base/version.h"
#include "cli/climb_corpus.h"
#include "cli/columns.h"
#include "cli/interrupt.h"
#include "cli/pretrain_data.h"
#include "cli/trainer.h"
#include "report/climb_report.h"
#include "train/dial.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

struct ClimbArguments {
  std::string corpus, out = "runs/climb";
  double hours = 0.2, flops = 0, next_ratio = 4, price_per_hour = 0, tokens_per_parameter = 0;
  double muon_lr = 0, decay_share = 0.2;
  std::int64_t seed = 1, seeds = 1, vocab_size = 0, context = 256, batch_tokens = 0, sizes = 4,
               rows = 4;
  bool json = false;
  ComputeOptions compute;
};

constexpr double kUsualFlops = 2e11;   // a second, where nothing is measured yet
constexpr double kShareOfNext = 0.45;  // of a ladder's compute
constexpr std::int64_t kLeastSteps = 200;
constexpr double kShortFlops = 1e14;  // below it forecasts are often off: docs/climb.md

Status check(const ClimbArguments& a) {
  BELAY_RETURN_IF_ERROR(check_range("--hours", a.hours, 0.001, 1e5));
  BELAY_RETURN_IF_ERROR(check_range("--flops", a.flops, 0.0, 1e24));
  BELAY_RETURN_IF_ERROR(check_range("--next-ratio", a.next_ratio, 1.5, 100.0));
  BELAY_RETURN_IF_ERROR(check_range("--seed", a.seed, 0, 1LL << 40));
  BELAY_RETURN_IF_ERROR(check_range("--seeds", a.seeds, 1, 20));
  BELAY_RETURN_IF_ERROR(check_range("--sizes", a.sizes, 3, 8));
  BELAY_RETURN_IF_ERROR(check_range("--rows", a.rows, 3, 8));
  BELAY_RETURN_IF_ERROR(check_range("--muon-lr", a.muon_lr, 0.0, 100.0));
  BELAY_RETURN_IF_ERROR(check_range("--decay-share", a.decay_share, 0.001, 1.0));
  BELAY_RETURN_IF_ERROR(check_range("--price-per-hour", a.price_per_hour, 0.0, 1e9));
  BELAY_RETURN_IF_ERROR(check_range("--tokens-per-parameter", a.tokens_per_parameter, 0.0, 1e6));
  if (a.vocab_size == 0) return {};
  return check_range("--vocab-size", a.vocab_size, 257, 1 << 20);
}

/// A vocabulary for the next rung that the hours, or the compute, can train.
std::int64_t vocab_of(const ClimbArguments& a) {
  if (a.vocab_size > 0) return a.vocab_size;
  const double all = a.flops > 0 ? a.flops : kUsualFlops * 3600 * a.hours;
  return train::dial_vocab(std::sqrt(kShareOfNext * all / (6 * train::kTokensPerParameter)));
}

std::string number(const ordered_json& value) { return fmt::format("{:.4f}", value.get<double>()); }

std::string rung_text(const climb::Rung& rung) {
  return fmt::format("depth {}, {} wide, {} parameters, {} tokens", rung.shape.depth,
                     rung.shape.width, base::count_text(rung.params),
                     base::count_text(rung.tokens));
}

class Announcer : public climb::Listener {
 public:
  Announcer(Verbs& verbs, const ClimbArguments& arguments) : verbs_(verbs), a_(arguments) {}

  void planned(const climb::Ladder& ladder, bool resumed) override {
    n_rungs_ = ladder.rungs.size() + 1;
    std::vector<std::vector<std::string>> cells = {{"model", "parameters"}};
    climb::Shape shape;
    auto lowest = static_cast<int>(a_.rows);  // rows whose runs would all be too short are empty
    for (const climb::Rung& rung : ladder.rungs) lowest = std::min(lowest, rung.row);
    for (const climb::Rung& rung : ladder.rungs) {
      if (rung.seed != a_.seed) continue;
      if (rung.shape != shape) {
        shape = rung.shape;
        cells.push_back({fmt::format("  depth {}, {} wide", shape.depth, shape.width),
                         base::count_text(rung.params)});
      }
      const auto column = static_cast<std::size_t>(2 + rung.row - lowest);
      for (auto* line : {&cells[0], &cells.back()}) {
        if (line->size() <= column) line->resize(column + 1, "-");
      }
      cells[0][column] = base::count_text(rung.flops) + " FLOPs";
      cells.back()[column] = base::count_text(rung.tokens);
    }
    verbs_.log.info("ladder   tokens that each size is trained on, at equal compute{}\n{}",
                    a_.seeds > 1 ? fmt::format(", {} seeds each", a_.seeds) : "", table(cells));
    verbs_.log.info(
        "next     one rung at {} FLOPs, {:.3g} times the largest, forecast before it begins",
        base::count_text(ladder.next_flops), a_.next_ratio);
    verbs_.log.info("time     {}: {} FLOPs, {} runs{}{}", base::duration_text(ladder.seconds),
                    base::count_text(ladder.flops), n_rungs_, price(ladder.seconds),
                    resumed ? "; goes on where it was" : "");
    if (ladder.flops < kShortFlops) {
      verbs_.log.info(
          "note     a ladder below {} FLOPs is a short one: such forecasts were 0.3 to 3.1 % off",
          base::count_text(kShortFlops));
    }
  }

  void trained(const climb::Rung& rung, const climb::RunOutcome& o) override {
    if (o.ending == climb::RunEnding::kFailed) {
      verbs_.log.warn("{}: left out, {}", rung_text(rung), o.error);
    } else {
      verbs_.log.info("{}: loss {:.4f}, {:.4f} bits a byte, {}", rung_text(rung), o.val_loss,
                      o.val_bpb, base::duration_text(o.seconds));
    }
  }

  void forecast(const ordered_json& record) override {
    const ordered_json &fit = record["fit"], &next = record["next"], &said = next["forecast"];
    const auto value = [&](const char* name) { return fit[name]["value"].get<double>(); };
    verbs_.log.info("law      L = {:.3f} + {:.4g}/N^{:.3f} + {:.4g}/D^{:.3f}, from {} runs{}",
                    value("E"), value("A"), value("alpha"), value("B"), value("beta"),
                    fit["n_points"].get<int>(),
                    fit.contains("r_star") ? "; tokens seen again count less" : "");
    if (fit.contains("held_out")) {
      const ordered_json& h = fit["held_out"];
      verbs_.log.info(
          "tested   {} runs of the ladder forecast from smaller ones: {:.2f} % off in the "
          "median",
          h["n"].get<int>(), h["median_error_percent"].get<double>());
    } else {
      verbs_.log.info(
          "tested   no: fewer than 8 runs of less than the largest compute; more hours help");
    }
    verbs_.log.info(
        "forecast {} nats a token (80 %: {} to {}) for depth {}, {} wide, {} parameters, "
        "{} tokens\n         registered as {} before it is trained",
        number(said["median"]), number(said["low80"]), number(said["high80"]),
        next["depth"].get<int>(), next["width"].get<int>(),
        base::count_text(next["params"].get<double>()),
        base::count_text(next["tokens"].get<double>()), said["id"].get<std::string>());
    if (!said.contains("parts")) return;
    const ordered_json &law = said["parts"]["law"], &rows = said["parts"]["best_of_rows"];
    verbs_.log.info(
        "         the law says {} (80 %: {} to {}; weight {:.2f}), the best rungs of each compute "
        "{} ({} to {})",
        number(law["median"]), number(law["low80"]), number(law["high80"]),
        law["weight"].get<double>(), number(rows["median"]), number(rows["low80"]),
        number(rows["high80"]));
  }

  void saved() override {
    const Status written = report::write_climb_report(verbs_.env, a_.out);
    if (!written.ok()) verbs_.log.warn("no report: {}", written.message());
  }

 private:
  std::string price(double seconds) const {
    if (a_.price_per_hour <= 0) return "";
    return fmt::format(", {:.2f} at {} an hour", a_.price_per_hour * seconds / 3600,
                       a_.price_per_hour);
  }

  Verbs& verbs_;
  const ClimbArguments& a_;
  std::size_t n_rungs_ = 0;
};

void print_outcome(const ordered_json& record) {
  const ordered_json &next = record["next"], &said = next["forecast"], &came = next["outcome"];
  const double loss = came["val_loss"].get<double>();
  const auto off = [&](const ordered_json& value) {
    return 100 * std::abs(value.get<double>() - loss) / loss;
  };
  const double law = off(said["median"]);
  const double still = off(said["no_change"]), line = off(said["straight_line"]);
  if (law > std::min(still, line)) {
    fmt::print("the forecast lost to {}\n",
               still < line ? "\"nothing changes\"" : "a straight line");
  }
  fmt::print(
      "outcome  {} nats a token, {} bits a byte: {} the 80 % interval, {:.2f} % off\n"
      "         nothing changes: {:.2f} % off; a straight line: {:.2f} % off\n",
      number(came["val_loss"]), number(came["val_bpb"]),
      came["inside_80"].get<bool>() ? "inside" : "outside", law, still, line);
  if (record.contains("seed_deviation_percent")) {
    fmt::print("seeds    one rung differs by {:.2f} % from seed to seed\n",
               record["seed_deviation_percent"].get<double>());
  }
  if (record.contains("beyond")) {
    const ordered_json& b = record["beyond"];
    fmt::print("beyond   ten times the compute, {} FLOPs: {} nats a token (80 %: {} to {})\n",
               base::count_text(b["flops"].get<double>()), number(b["median"]), number(b["low80"]),
               number(b["high80"]));
  }
}

Result<climb::ClimbOptions> options_of(Verbs& verbs, Verb verb, const ClimbArguments& a) {
  climb::ClimbOptions o;
  o.folder = a.out;
  o.price_per_hour = a.price_per_hour;
  BELAY_ASSIGN_OR_RETURN(const std::string data,
                         climb_data(verbs, {a.corpus, a.out, vocab_of(a), a.compute.threads}));
  BELAY_ASSIGN_OR_RETURN(const data::Dataset set, data::Dataset::open(verbs.env, data));
  if (set.valid().n_tokens() < 2) {
    return base::invalid_argument({.where = data,
                                   .what = "has no validation split to measure rungs by",
                                   .next = "prepare it with --valid-fraction or --valid-file"});
  }
  BELAY_ASSIGN_OR_RETURN(const Compute compute, open_compute(a.compute));
  o.unique_tokens = static_cast<double>(set.train().n_tokens());
  o.fixed = {{"data", data},
             {"context", std::to_string(a.context)},
             {"batch-tokens", std::to_string(a.batch_tokens)},
             {"muon-lr", fmt::format("{}", a.muon_lr)},
             {"eval-seconds", "0"},
             {"threads", std::to_string(a.compute.threads)},
             {"isa", a.compute.isa},
             {"dtype", a.compute.dtype}};
  o.ladder = {.seconds = 3600 * a.hours,
              .flops = a.flops,
              .n_sizes = static_cast<int>(a.sizes),
              .n_rows = static_cast<int>(a.rows),
              .next_ratio = a.next_ratio,
              .n_seeds = static_cast<int>(a.seeds),
              .first_seed = a.seed,
              .tokens_per_parameter =
                  a.tokens_per_parameter > 0 ? a.tokens_per_parameter : train::kTokensPerParameter,
              .decay_share = a.decay_share,
              .valid_tokens = static_cast<double>(set.valid().n_tokens()),
              .least_steps = kLeastSteps};
  ordered_json options = options_json(verb);
  for (const char* of_the_command : {"json", "out", "threads", "isa"})
    options.erase(of_the_command);
  ordered_json of_data = data_json(set);
  of_data.erase("name");
  o.about = {{"version", base::kFullVersion},
             {"command", verbs.command_line},
             {"machine",
              {{"processor", base::cpu_model()},
               {"threads", compute.threads->size()},
               {"isa", base::isa_name(compute.ctx.isa)},
               {"dtype", tensor::dtype_name(compute.dtype)}}},
             {"data", std::move(of_data)},
             {"options", std::move(options)}};
  return o;
}

Result<ExitCode> run_climb(Verbs& verbs, Verb verb, const ClimbArguments& a) {
  BELAY_RETURN_IF_ERROR(check(a));
  interrupted();
  BELAY_ASSIGN_OR_RETURN(const climb::ClimbOptions options, options_of(verbs, verb, a));
  BELAY_ASSIGN_OR_RETURN(const Compute compute, open_compute(a.compute));
  PretrainTrainer trainer(verbs);
  Announcer announcer(verbs, a);
  BELAY_ASSIGN_OR_RETURN(const ordered_json record,
                         climb::climb(verbs.env, *compute.threads, trainer, options, announcer));
  if (a.json) {
    print_json(record);
    return ExitCode::kDone;
  }
  if (record["status"] == "done") {
    print_outcome(record);
  } else {
    fmt::print("stopped before the end; the same command goes on\n");
  }
  fmt::print("report   {}\n", base::join_path(a.out, "report.html"));
  return ExitCode::kDone;
}

void add_options(Verb verb, ClimbArguments& a) {
  verb.option("corpus", a.corpus,
              "Text file, folder of them, or folder that belay data prepare made; the embedded "
              "novels when absent")
      .type("PATH");
  verb.option("--hours", a.hours, "Time for all of it; the ladder is planned to fit");
  verb.option("--flops", a.flops,
              "Compute of all of it in place of the hours, as 1.5e14: the same ladder on any "
              "machine; 0: by the hours");
  verb.option("--out", a.out, "Folder: climb.json, forecasts.jsonl, report.html, rungs/")
      .type("DIR");
  verb.option("--seeds", a.seeds, "Runs of each rung, whose losses are averaged");
  verb.option("--seed", a.seed, "The first of them");
  verb.option("--next-ratio", a.next_ratio,
              "Compute of the next rung over that of the largest fitted one");
  verb.option("--sizes", a.sizes, "Sizes of models in the ladder");
  verb.option("--rows", a.rows, "Rows of equal compute, each twice the one before");
  verb.option("--tokens-per-parameter", a.tokens_per_parameter,
              "What the sizes are placed around; 0: 8");
  verb.option("--vocab-size", a.vocab_size, "Of the tokenizer that is trained; 0: by the compute");
  verb.option("--context", a.context, "Tokens of a row");
  verb.option("--batch-tokens", a.batch_tokens, "Tokens of a step; 0: by the dial, 1024");
  verb.option("--muon-lr", a.muon_lr, "Peak of Muon's learning rate in every rung; 0: by the dial");
  verb.option("--decay-share", a.decay_share, "Of a run, in which its learning rates fall");
  verb.option("--price-per-hour", a.price_per_hour, "Of this machine, to count the money");
  verb.flag("--json", a.json, "Print climb.json at the end");
  add_compute_options(verb, a.compute);
}

}  // namespace

void add_climb(Verbs& verbs) {
  auto arguments = std::make_shared<ClimbArguments>();
  auto verb_of_run = std::make_shared<std::optional<Verb>>();
  Verb verb = verbs.add(
      {.name = "climb",
       .about = "Train a ladder of small models, forecast the next rung, train it, and score the "
                "forecast",
       .examples = {"climb --hours 0.2", "climb corpus.txt --hours 4 --seeds 2 --out runs/mine",
                    "climb shards --hours 1 --price-per-hour 0.50 --json"}},
      [&verbs, arguments, verb_of_run] { return run_climb(verbs, **verb_of_run, *arguments); });
  *verb_of_run = verb;
  add_options(verb, *arguments);
}

}  // namespace belay::cli
