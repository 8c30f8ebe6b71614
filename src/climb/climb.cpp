#include "climb/climb.h"

#include <fmt/core.h>

#include <cmath>
#include <map>

#include "base/json.h"
#include "climb/next_rung.h"
#include "store/forecast_register.h"

namespace belay::climb {
namespace {

using base::join_path;
using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kFormat = 1;
constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20;

ordered_json rung_json(const Rung& r) {
  return {{"name", r.name},
          {"depth", r.shape.depth},
          {"width", r.shape.width},
          {"seed", r.seed},
          {"row", r.row},
          {"steps", r.steps},
          {"fork", r.fork},
          {"params", r.params},
          {"tokens", r.tokens},
          {"flops", r.flops},
          {"own_flops", r.own_flops},
          {"seconds", r.seconds}};
}

Result<Rung> rung_of(const base::JsonReader& json) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  Rung r;
  BELAY_ASSIGN_OR_RETURN(r.name, json.require_string("name"));
  BELAY_ASSIGN_OR_RETURN(r.shape.depth, json.require_int("depth", 1, 128));
  BELAY_ASSIGN_OR_RETURN(r.shape.width, json.require_int("width", 32, 8192));
  BELAY_ASSIGN_OR_RETURN(r.seed, json.require_int("seed", 0, kMost));
  BELAY_ASSIGN_OR_RETURN(const std::int64_t row, json.require_int("row", 0, 100));
  BELAY_ASSIGN_OR_RETURN(r.steps, json.require_int("steps", 1, kMost));
  BELAY_ASSIGN_OR_RETURN(r.fork, json.optional_string("fork", ""));
  BELAY_ASSIGN_OR_RETURN(r.params, json.require_double("params", 1, 1e18));
  BELAY_ASSIGN_OR_RETURN(r.tokens, json.require_double("tokens", 1, 1e18));
  BELAY_ASSIGN_OR_RETURN(r.flops, json.require_double("flops", 1, 1e30));
  BELAY_ASSIGN_OR_RETURN(r.own_flops, json.require_double("own_flops", 0, 1e30));
  BELAY_ASSIGN_OR_RETURN(r.seconds, json.require_double("seconds", 0, 1e12));
  r.row = static_cast<int>(row);
  return r;
}

ordered_json measured_json(const Rung& rung, const RunOutcome& o) {
  ordered_json json = {{"name", rung.name},
                       {"depth", rung.shape.depth},
                       {"width", rung.shape.width},
                       {"seed", rung.seed},
                       {"row", rung.row},
                       {"params", o.params},
                       {"tokens", o.tokens},
                       {"flops", o.flops()},
                       {"own_flops", o.flops_per_token * o.own_tokens},
                       {"seconds", o.seconds}};
  if (o.ending == RunEnding::kFailed) {
    json["excluded"] = "diverged: " + o.error;
  } else {
    json["val_loss"] = o.val_loss;
    json["val_bpb"] = o.val_bpb;
    json["sample"] = {{"prompt", o.prompt}, {"text", o.text}};
  }
  return json;
}

/// One process's part of a climb.
class Climb {
 public:
  Climb(base::Env& env, base::ThreadPool& threads, Trainer& trainer, const ClimbOptions& options,
        Listener& listener)
      : env_(env), threads_(threads), trainer_(trainer), o_(options), listener_(listener) {}

  Result<ordered_json> run() {
    BELAY_RETURN_IF_ERROR(env_.create_dirs(join_path(o_.folder, "rungs")));
    BELAY_ASSIGN_OR_RETURN(lock_, env_.lock_file(join_path(o_.folder, "lock")));
    BELAY_RETURN_IF_ERROR(begin());
    for (const auto phase : {&Climb::train_rungs, &Climb::forecast, &Climb::train_next}) {
      BELAY_ASSIGN_OR_RETURN(const bool whole, (this->*phase)());
      if (whole) continue;
      record_["status"] = "interrupted";
      BELAY_RETURN_IF_ERROR(save());
      return record_;
    }
    record_["status"] = "done";
    BELAY_RETURN_IF_ERROR(save());
    return record_;
  }

 private:
  std::string path() const { return join_path(o_.folder, "climb.json"); }
  std::string register_path() const { return join_path(o_.folder, "forecasts.jsonl"); }

  Status save() {
    double seconds = 0, flops = 0;
    for (const ordered_json& r : record_["rungs"]) {
      seconds += r["seconds"].get<double>();
      flops += r["own_flops"].get<double>();
    }
    if (record_.contains("next") && record_["next"].contains("outcome")) {
      seconds += record_["next"]["outcome"]["seconds"].get<double>();
      flops += record_["next"]["flops"].get<double>() * o_.ladder.n_seeds;
    }
    record_["totals"] = {{"seconds", seconds}, {"flops", flops}};
    if (o_.price_per_hour > 0) record_["totals"]["price"] = o_.price_per_hour * seconds / 3600;
    BELAY_RETURN_IF_ERROR(base::write_file_atomic(env_, path(), record_.dump(1) + "\n"));
    listener_.saved();
    return {};
  }

  Status begin() {
    if (!env_.exists(path())) return plan();
    BELAY_ASSIGN_OR_RETURN(const std::string text, env_.read_file(path(), kMaxBytes));
    BELAY_ASSIGN_OR_RETURN(const base::JsonReader json,
                           base::parse_json(text, path(), {.max_bytes = kMaxBytes}));
    BELAY_RETURN_IF_ERROR(json.require_int("format", kFormat, kFormat).status());
    record_ = base::ordered_json_value(text);
    BELAY_RETURN_IF_ERROR(check_same());
    BELAY_ASSIGN_OR_RETURN(const base::JsonReader plan, json.require_object("plan"));
    BELAY_ASSIGN_OR_RETURN(ladder_.next_flops, plan.require_double("next_flops", 1, 1e30));
    BELAY_ASSIGN_OR_RETURN(ladder_.seconds, plan.require_double("seconds", 0, 1e12));
    BELAY_ASSIGN_OR_RETURN(ladder_.flops, plan.require_double("flops", 0, 1e30));
    BELAY_ASSIGN_OR_RETURN(const base::JsonReader rungs, plan.require("rungs"));
    const std::size_t n = rungs.node().is_array() ? rungs.node().size() : 0;
    for (std::size_t i = 0; i < n; ++i) {
      BELAY_ASSIGN_OR_RETURN(ladder_.rungs.emplace_back(), rung_of(rungs.element(i)));
    }
    record_["status"] = "running";
    listener_.planned(ladder_, true);
    return {};
  }

  /// A climb of other data or options must not be gone on with as if it were this one.
  Status check_same() {
    for (const char* part : {"data", "options"}) {
      if (!o_.about.contains(part)) continue;
      const ordered_json then = record_.contains(part) ? record_[part] : ordered_json::object();
      for (const auto& [name, value] : o_.about[part].items()) {
        const ordered_json before = then.contains(name) ? then[name] : ordered_json();
        if (before == value) continue;
        return base::invalid_argument(
            {.where = path() + ": " + part,
             .what = fmt::format("the climb in this folder has another '{}'", name),
             .seen = base::printable(value.dump()),
             .allowed = base::printable(before.dump()),
             .next = "repeat the command that began it, or choose another --out"});
      }
    }
    return {};
  }

  RunOptions options_of(Shape shape, std::int64_t steps, std::int64_t seed) const {
    RunOptions options = o_.fixed;
    options.emplace_back("depth", std::to_string(shape.depth));
    options.emplace_back("width", std::to_string(shape.width));
    options.emplace_back("schedule", "wsd");
    options.emplace_back("decay-share", fmt::format("{}", o_.ladder.decay_share));
    options.emplace_back("steps", std::to_string(steps));
    options.emplace_back("seed", std::to_string(seed));
    return options;
  }

  Status plan() {
    const auto measure = [&](Shape shape) {
      return trainer_.measure(options_of(shape, 100000, 1));
    };
    BELAY_ASSIGN_OR_RETURN(ladder_, plan_ladder(o_.ladder, measure));
    record_ = {{"format", kFormat}, {"status", "running"}, {"started", env_.wall_seconds()}};
    record_.update(o_.about);
    ordered_json rungs = ordered_json::array();
    for (const Rung& rung : ladder_.rungs) rungs.push_back(rung_json(rung));
    record_["plan"] = {{"seconds", ladder_.seconds},          {"flops", ladder_.flops},
                       {"next_flops", ladder_.next_flops},    {"next_ratio", o_.ladder.next_ratio},
                       {"price_per_hour", o_.price_per_hour}, {"rungs", std::move(rungs)}};
    record_["rungs"] = ordered_json::array();
    listener_.planned(ladder_, false);
    return save();
  }

  std::string run_folder(const std::string& name) const {
    return join_path(join_path(o_.folder, "rungs"), name);
  }

  /// The run of a rung; nothing when the user stopped it.
  Result<std::optional<RunOutcome>> train(const Rung& rung, const std::string& label,
                                          bool keep_fork) {
    RunRequest request{run_folder(rung.name), options_of(rung.shape, rung.steps, rung.seed), label};
    if (keep_fork) request.options.emplace_back("keep-fork", "true");
    if (!rung.fork.empty()) request.options.emplace_back("fork", run_folder(rung.fork));
    BELAY_ASSIGN_OR_RETURN(RunOutcome outcome, trainer_.train(request));
    if (outcome.ending == RunEnding::kStopped) return std::optional<RunOutcome>();
    return std::optional<RunOutcome>(std::move(outcome));
  }

  Result<bool> train_rungs() {
    ordered_json& done = record_["rungs"];
    std::map<std::string, bool> failed;
    for (const ordered_json& r : done) failed[r["name"]] = r.contains("excluded");
    for (std::size_t i = 0; i < ladder_.rungs.size(); ++i) {
      const Rung& rung = ladder_.rungs[i];
      if (failed.contains(rung.name)) continue;
      const std::string label = fmt::format("rung {}/{} ", i + 1, ladder_.rungs.size() + 1);
      RunOutcome outcome;
      if (!rung.fork.empty() && failed[rung.fork]) {
        outcome.ending = RunEnding::kFailed;
        outcome.error = "so did " + rung.fork + ", which it goes on from";
      } else {
        BELAY_ASSIGN_OR_RETURN(const auto trained, train(rung, label, true));
        if (!trained) return false;
        outcome = *trained;
      }
      done.push_back(measured_json(rung, outcome));
      failed[rung.name] = outcome.ending == RunEnding::kFailed;
      listener_.trained(rung, outcome);
      BELAY_RETURN_IF_ERROR(save());
    }
    return true;
  }

  NextOptions next_options() const {
    return {ladder_.next_flops, o_.unique_tokens, o_.ladder.n_seeds, o_.ladder.first_seed,
            o_.resamples};
  }

  /// Fits the law, chooses the next rung and puts the forecast into the register.
  Result<bool> forecast() {
    if (!record_.contains("next")) {
      const auto measure = [&](Shape shape) {
        return trainer_.measure(options_of(shape, 100000, 1));
      };
      BELAY_ASSIGN_OR_RETURN(const NextForecast made,
                             forecast_next(threads_, record_["rungs"], next_options(), measure));
      record_["fit"] = made.fit;
      if (const ordered_json deviation = seed_deviation_percent(record_["rungs"]);
          !deviation.is_null()) {
        record_["seed_deviation_percent"] = deviation;
      }
      store::Forecast entry = made.entry;
      entry.made = env_.wall_seconds();
      BELAY_ASSIGN_OR_RETURN(const std::string id,
                             store::append_forecast(env_, register_path(), entry));
      BELAY_ASSIGN_OR_RETURN(const store::Register all,
                             store::read_register(env_, register_path()));
      ordered_json next = made.rung;
      next["forecast"]["id"] = id;
      next["forecast"]["made"] = all.find(id)->made;
      next["forecast"]["head"] = all.head;
      record_["next"] = std::move(next);
      BELAY_RETURN_IF_ERROR(save());
    }
    listener_.forecast(record_);
    return true;
  }

  Result<bool> train_next() {
    ordered_json& next = record_["next"];
    if (next.contains("outcome")) return true;
    const double started = env_.wall_seconds();
    ordered_json runs = ordered_json::array();
    double loss = 0, bpb = 0, seconds = 0;
    RunOutcome last;
    for (int i = 0; i < o_.ladder.n_seeds; ++i) {
      const std::int64_t seed = o_.ladder.first_seed + i;
      Rung rung;
      rung.shape = {next["depth"].get<std::int64_t>(), next["width"].get<std::int64_t>()};
      rung.steps = next["steps"].get<std::int64_t>();
      rung.seed = seed;
      rung.name = rung_name(rung.shape, rung.steps, seed);
      const std::string label =
          fmt::format("next rung {}", o_.ladder.n_seeds > 1 ? fmt::format("seed {} ", seed) : "");
      BELAY_ASSIGN_OR_RETURN(const auto trained, train(rung, label, false));
      if (!trained) return false;
      if (trained->ending == RunEnding::kFailed) return diverged(rung, *trained);
      last = *trained;
      runs.push_back({{"seed", seed}, {"val_loss", last.val_loss}, {"val_bpb", last.val_bpb}});
      loss += last.val_loss / o_.ladder.n_seeds;
      bpb += last.val_bpb / o_.ladder.n_seeds;
      seconds += last.seconds;
    }
    BELAY_RETURN_IF_ERROR(store::append_outcome(
        env_, register_path(),
        {.of = next["forecast"]["id"].get<std::string>(), .value = loss, .time = started}));
    BELAY_ASSIGN_OR_RETURN(const store::Register all, store::read_register(env_, register_path()));
    const store::Forecast* entry = all.find(next["forecast"]["id"].get<std::string>());
    if (entry == nullptr) {
      return base::corrupt(
          {.where = register_path(), .what = "does not hold this climb's forecast"});
    }
    next["outcome"] = score_next(*entry, loss);
    next["outcome"].update({{"val_bpb", bpb},
                            {"seconds", seconds},
                            {"runs", std::move(runs)},
                            {"sample", {{"prompt", last.prompt}, {"text", last.text}}}});
    const ordered_json beyond = look_beyond(threads_, record_, next_options());
    if (!beyond.is_null()) record_["beyond"] = beyond;
    BELAY_RETURN_IF_ERROR(save());
    return true;
  }

  Status diverged(const Rung& rung, const RunOutcome& outcome) const {
    return base::corrupt({.where = run_folder(rung.name),
                          .what = "the next rung diverged: " + outcome.error,
                          .next = "its forecast stays without an outcome; begin again with another "
                                  "--out and lower learning rates"});
  }

  base::Env& env_;
  base::ThreadPool& threads_;
  Trainer& trainer_;
  const ClimbOptions& o_;
  Listener& listener_;
  std::unique_ptr<base::FileLock> lock_;
  Ladder ladder_;
  ordered_json record_;
};

}  // namespace

Result<ordered_json> climb(base::Env& env, base::ThreadPool& threads, Trainer& trainer,
                           const ClimbOptions& options, Listener& listener) {
  try {
    return Climb(env, threads, trainer, options, listener).run();
  } catch (const nlohmann::json::exception& fault) {  // a field of climb.json that is not ours
    return base::corrupt({.where = join_path(options.folder, "climb.json"),
                          .what = "has a field that no climb has written",
                          .seen = fault.what(),
                          .next = "move it away, and the climb plans anew"});
  }
}

}  // namespace belay::climb
