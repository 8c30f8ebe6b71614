#include "text/ggml_scores.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "text/unicode.h"

namespace belay::text {
namespace {

using base::Result;

/// The ways to cut each token in two.
class Cuts {
 public:
  Cuts(const std::vector<std::string>& tokens, const std::vector<bool>& mergeable)
      : tokens_(tokens), mergeable_(mergeable) {
    ids_.reserve(tokens.size());
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      if (mergeable[id] && !tokens[id].empty()) {
        ids_.emplace(tokens[id], static_cast<std::int32_t>(id));
      }
    }
  }

  /// Those of a token, without their ranks.
  std::vector<Merge> of(std::size_t id) const {
    std::vector<Merge> merges;
    const std::string_view token = tokens_[id];
    if (!mergeable_[id]) return merges;
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids_.find(token.substr(0, cut)), right = ids_.find(token.substr(cut));
      if (left == ids_.end() || right == ids_.end()) continue;
      merges.push_back({left->second, right->second, static_cast<std::int32_t>(id), 0});
    }
    return merges;
  }

 private:
  const std::vector<std::string>& tokens_;
  const std::vector<bool>& mergeable_;
  std::unordered_map<std::string_view, std::int32_t> ids_;
};

/// Tokens of one score go from left to right. For the runs of one character, of 2, 3, ... up to the
/// longest without a gap, that is: each run grows by one character until it is the longest. So the
/// longest goes first, and only by what it is grown from: true when `ids` are such runs, which are
/// then put in order, and `merges` are thinned out.
bool order_runs(const std::vector<std::string>& tokens, std::vector<std::size_t>& ids,
                std::map<std::size_t, std::vector<Merge>>& merges) {
  const std::string& one = tokens[ids.front()];
  const std::size_t unit = decode_utf8(one.data(), one.data() + one.size()).size;
  std::sort(ids.begin(), ids.end(),
            [&](std::size_t a, std::size_t b) { return tokens[a].size() > tokens[b].size(); });
  std::string run = one.substr(0, unit);
  for (std::size_t i = ids.size(); i-- > 0;) {
    const std::size_t before = run.size();
    run += one.substr(0, unit);
    if (tokens[ids[i]] != run) return false;
    std::erase_if(merges[ids[i]], [&](const Merge& m) {
      return tokens[static_cast<std::size_t>(m.left)].size() != before;
    });
  }
  return true;
}

}  // namespace

Result<std::vector<Merge>> merges_of_scores(const std::vector<std::string>& tokens,
                                            const std::vector<float>& scores,
                                            const std::vector<bool>& mergeable,
                                            const std::string& name) {
  const Cuts cuts(tokens, mergeable);
  std::map<float, std::vector<std::size_t>, std::greater<>> by_score;
  std::map<std::size_t, std::vector<Merge>> merges;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    std::vector<Merge> of = cuts.of(id);
    if (of.empty()) continue;
    by_score[scores[id]].push_back(id);
    merges.emplace(id, std::move(of));
  }
  std::vector<Merge> list;
  std::int32_t rank = 0;
  for (auto& [score, ids] : by_score) {
    if (ids.size() > 1 && !order_runs(tokens, ids, merges)) {
      return base::unsupported(
          {.where = name + ": scores",
           .what = "are the same for two tokens that merges make",
           .seen = base::printable(tokens[ids[0]], 40) + ", " + base::printable(tokens[ids[1]], 40),
           .allowed = "a score of its own for each, but for runs of one "
                      "character"});
    }
    for (const std::size_t id : ids) {
      for (Merge& m : merges[id]) {
        m.rank = rank;
        list.push_back(m);
      }
      ++rank;
    }
  }
  return list;
}

Result<std::vector<float>> scores_of_merges(const TokenizerSpec& spec,
                                            const std::vector<bool>& mergeable,
                                            const std::string& name) {
  std::vector<std::int32_t> first(spec.tokens.size(), INT32_MAX);
  std::unordered_map<std::uint64_t, std::int32_t> ranks;
  for (const Merge& m : spec.merges) {
    auto& rank = first[static_cast<std::size_t>(m.id)];
    rank = std::min(rank, m.rank);
    ranks.emplace(static_cast<std::uint64_t>(m.left) << 32 | static_cast<std::uint32_t>(m.right),
                  m.rank);
  }
  // The order of the tokens, by the first of their merges; f32 counts to 2^24, ids end below.
  std::vector<std::size_t> order;
  for (std::size_t id = 0; id < first.size(); ++id) {
    if (first[id] != INT32_MAX) order.push_back(id);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return first[a] < first[b]; });
  const Cuts cuts(spec.tokens, mergeable);
  std::vector<float> scores(spec.tokens.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t id = order[i];
    const std::int32_t next = i + 1 < order.size() ? first[order[i + 1]] : INT32_MAX;
    for (const Merge& m : cuts.of(id)) {
      const auto rank = ranks.find(static_cast<std::uint64_t>(m.left) << 32 |
                                   static_cast<std::uint32_t>(m.right));
      if (rank != ranks.end() && rank->second < next) continue;
      return base::unsupported(
          {.where = name + ": merges",
           .what = "are not those that scores would give, so that a GGUF file cannot say them",
           .seen = base::printable(spec.tokens[id], 40),
           .allowed = "every way to cut a token in two, in the order of the tokens"});
    }
    scores[id] = -static_cast<float>(i);
  }
  return scores;
}

}  // namespace belay::text
