#include "text/bpe_train.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "text/token_table.h"

namespace belay::text {
namespace {

using base::Result;
using base::Status;

using Count = std::int64_t;

constexpr std::uint32_t kBreak = ~std::uint32_t{0};       // between pieces
constexpr std::uint32_t kInside = ~std::uint32_t{0} - 1;  // of a token, where one began before

/// Pair to its count and the places where it stood when it was counted.
class PairTable {
 public:
  struct Pair {
    std::uint32_t left = 0, right = 0;
    Count count = 0;
    std::vector<std::uint32_t> places;  // of the left token; some may be stale
  };

  /// The pair's index; it is added when it is new.
  std::uint32_t at(std::uint32_t left, std::uint32_t right) {
    std::size_t slot = slot_of(left, right);
    while (slots_[slot] != kBreak) {
      const Pair& p = pairs_[slots_[slot]];
      if (p.left == left && p.right == right) return slots_[slot];
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = static_cast<std::uint32_t>(pairs_.size());
    pairs_.push_back({left, right, 0, {}});
    if (2 * pairs_.size() > slots_.size()) grow();
    return static_cast<std::uint32_t>(pairs_.size() - 1);
  }
  Pair& operator[](std::uint32_t index) { return pairs_[index]; }
  std::size_t size() const { return pairs_.size(); }

 private:
  std::size_t slot_of(std::uint32_t left, std::uint32_t right) const {
    return mix(left, right) & (slots_.size() - 1);
  }
  void grow() {
    slots_.assign(2 * slots_.size(), kBreak);
    for (std::uint32_t i = 0; i < pairs_.size(); ++i) {
      std::size_t slot = slot_of(pairs_[i].left, pairs_[i].right);
      while (slots_[slot] != kBreak) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = i;
    }
  }
  std::vector<Pair> pairs_;
  std::vector<std::uint32_t> slots_ = std::vector<std::uint32_t>(1 << 16, kBreak);
};

/// All different pieces in a row of cells, one for each byte and a break between pieces. The first
/// and the last cell of a token hold its id, so that both neighbours are found without links; a
/// cell where a token began that was merged into the one before it holds kInside.
class Trainer {
 public:
  Trainer(const PieceTable& pieces, const TrainOptions& options) : options_(options) {
    for (std::size_t b = 0; b < 256; ++b) order_.push_back(static_cast<std::uint8_t>(b));
    std::sort(order_.begin(), order_.end(), [](std::uint8_t a, std::uint8_t b) {
      return byte_symbol(a) < byte_symbol(b);  // UTF-8 sorts as code points do
    });
    for (const std::uint8_t b : order_) tokens_.emplace_back(1, static_cast<char>(b));
    lay_out(pieces);
    count_pairs();
  }

  /// Merges until there are n_tokens, or no pair is left that is frequent enough.
  void run(std::size_t n_tokens) {
    while (tokens_.size() < n_tokens && !heap_.empty()) {
      const Waiting top = heap_.top();
      heap_.pop();
      const Count now = pairs_[top.pair].count;
      if (now == top.count) {
        merge(top.pair);
        if (options_.progress && tokens_.size() % 64 == 0) {
          options_.progress(static_cast<std::int64_t>(tokens_.size()));
        }
      } else if (now < top.count) {
        wait(top.pair);  // a larger count has an entry of its own
      }
    }
  }

  std::vector<std::string> take_tokens() { return std::move(tokens_); }
  std::vector<Merge> take_merges() { return std::move(merges_); }

 private:
  struct Waiting {
    Count count;
    std::uint32_t left, right;
    std::uint32_t pair;
    bool operator<(const Waiting& o) const {  // later in the rule's order
      if (count != o.count) return count < o.count;
      return left != o.left ? left > o.left : right > o.right;
    }
  };

  /// What one merge does to the pairs with one neighbour.
  struct Change {
    Count count = 0;
    std::vector<std::uint32_t> places;
  };

  void lay_out(const PieceTable& pieces) {
    std::array<std::uint32_t, 256> id{};
    for (std::uint32_t i = 0; i < 256; ++i) id[order_[i]] = i;
    std::size_t n_cells = 1;
    pieces.for_each([&](std::string_view piece, std::uint64_t) { n_cells += piece.size() + 1; });
    cells_.reserve(n_cells);
    piece_of_.reserve(n_cells);
    counts_.reserve(pieces.size());
    cells_.push_back(kBreak);
    piece_of_.push_back(0);
    pieces.for_each([&](std::string_view piece, std::uint64_t count) {
      for (const char c : piece) cells_.push_back(id[static_cast<std::uint8_t>(c)]);
      cells_.push_back(kBreak);
      piece_of_.resize(cells_.size(), static_cast<std::uint32_t>(counts_.size()));
      counts_.push_back(static_cast<Count>(count));
    });
    sizes_.assign(256, 1);
  }

  void count_pairs() {
    for (std::uint32_t p = 0; p + 1 < cells_.size(); ++p) {
      if (cells_[p] == kBreak || cells_[p + 1] == kBreak) continue;
      PairTable::Pair& pair = pairs_[pairs_.at(cells_[p], cells_[p + 1])];
      pair.count += counts_[piece_of_[p]];
      pair.places.push_back(p);
    }
    for (std::uint32_t i = 0; i < pairs_.size(); ++i) wait(i);
  }

  void wait(std::uint32_t pair) {
    const PairTable::Pair& p = pairs_[pair];
    if (p.count >= static_cast<Count>(options_.least_count)) {
      heap_.push({p.count, p.left, p.right, pair});
    }
  }

  /// The id of the joined token, which another merge may have made before.
  std::uint32_t joined(std::uint32_t left, std::uint32_t right) {
    std::string token = tokens_[left] + tokens_[right];
    const auto [known, is_new] =
        ids_.emplace(std::move(token), static_cast<std::uint32_t>(tokens_.size()));
    if (is_new) {
      tokens_.push_back(known->first);
      sizes_.push_back(static_cast<std::uint32_t>(known->first.size()));
      left_of_.resize(tokens_.size());
      right_of_.resize(tokens_.size());
    }
    return known->second;
  }

  void merge(std::uint32_t index) {
    const std::uint32_t left = pairs_[index].left, right = pairs_[index].right;
    std::vector<std::uint32_t> places = std::move(pairs_[index].places);
    const std::uint32_t id = joined(left, right);
    merges_.push_back({static_cast<std::int32_t>(left), static_cast<std::int32_t>(right),
                       static_cast<std::int32_t>(id), static_cast<std::int32_t>(merges_.size())});
    // In a run of one token the leftmost pair goes first.
    if (left == right && !std::is_sorted(places.begin(), places.end())) {
      std::sort(places.begin(), places.end());
    }
    for (const std::uint32_t p : places) {
      if (cells_[p] == left && cells_[p + sizes_[left]] == right) join(p, left, right, id);
    }
    for (const std::uint32_t neighbour : touched_left_) {
      apply(left_of_[neighbour], pairs_.at(neighbour, left), pairs_.at(neighbour, id));
    }
    for (const std::uint32_t neighbour : touched_right_) {
      apply(right_of_[neighbour], pairs_.at(right, neighbour), pairs_.at(id, neighbour));
    }
    for (const std::uint32_t neighbour : touched_left_) wait(pairs_.at(neighbour, id));
    for (const std::uint32_t neighbour : touched_right_) wait(pairs_.at(id, neighbour));
    touched_left_.clear();
    touched_right_.clear();
    pairs_[index].count = 0;
    pairs_[index].places = {};
  }

  void join(std::uint32_t p, std::uint32_t left, std::uint32_t right, std::uint32_t id) {
    const Count count = counts_[piece_of_[p]];
    const std::uint32_t middle = p + sizes_[left], after = middle + sizes_[right];
    const auto note = [count](std::vector<Change>& changes, std::vector<std::uint32_t>& touched,
                              std::uint32_t neighbour, std::uint32_t place) {
      Change& change = changes[neighbour];
      if (change.places.empty()) touched.push_back(neighbour);
      change.count += count;
      change.places.push_back(place);
    };
    if (const std::uint32_t before = cells_[p - 1]; before != kBreak) {
      note(left_of_, touched_left_, before, p - sizes_[before]);
    }
    if (const std::uint32_t next = cells_[after]; next != kBreak) {
      note(right_of_, touched_right_, next, p);
    }
    if (sizes_[right] > 1) cells_[middle] = kInside;
    cells_[p] = id;
    cells_[after - 1] = id;
  }

  void apply(Change& change, std::uint32_t from, std::uint32_t to) {
    pairs_[from].count -= change.count;
    pairs_[to].count += change.count;
    std::vector<std::uint32_t>& places = pairs_[to].places;
    if (places.empty()) {
      places.assign(change.places.begin(), change.places.end());
    } else {
      places.insert(places.end(), change.places.begin(), change.places.end());
    }
    change.count = 0;
    change.places.clear();
  }

  const TrainOptions& options_;
  std::vector<std::uint8_t> order_;
  std::vector<std::string> tokens_;
  std::vector<std::uint32_t> sizes_;  // bytes of each token
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<Merge> merges_;

  std::vector<std::uint32_t> cells_, piece_of_;
  std::vector<Count> counts_;
  PairTable pairs_;
  std::priority_queue<Waiting> heap_;

  // By neighbour; empty but while one merge is done.
  std::vector<Change> left_of_ = std::vector<Change>(256), right_of_ = std::vector<Change>(256);
  std::vector<std::uint32_t> touched_left_, touched_right_;
};

}  // namespace

Status check_train_options(const TrainOptions& o) {
  const auto least = 256 + static_cast<std::int64_t>(o.specials.size());
  if (o.vocab_size < least || o.vocab_size > kMaxVocabulary) {
    return base::invalid_argument({.where = "--vocab-size",
                                   .what = "is out of range",
                                   .seen = std::to_string(o.vocab_size),
                                   .allowed = std::to_string(least) +
                                              " (256 bytes and the special "
                                              "tokens) to " +
                                              std::to_string(kMaxVocabulary)});
  }
  for (std::size_t i = 0; i < o.specials.size(); ++i) {
    const std::string& special = o.specials[i];
    const bool twice =
        std::find(o.specials.begin(), o.specials.begin() + static_cast<std::ptrdiff_t>(i),
                  special) != o.specials.begin() + static_cast<std::ptrdiff_t>(i);
    if (special.size() >= 2 && special.size() <= 256 && !twice &&
        valid_utf8_prefix(special) == special.size())
      continue;
    return base::invalid_argument({.where = "--special",
                                   .what = twice ? "is given twice" : "is no special token",
                                   .seen = base::printable(special),
                                   .allowed = "2 to 256 bytes of UTF-8"});
  }
  if (o.least_count < 1) {
    return base::invalid_argument({.where = "--min-count",
                                   .what = "is out of range",
                                   .seen = std::to_string(o.least_count),
                                   .allowed = "1 and more"});
  }
  return {};
}

Result<Tokenizer> train_bpe(PieceTable pieces, const TrainOptions& options) {
  BELAY_RETURN_IF_ERROR(check_train_options(options));
  std::uint64_t n_cells = 1;
  pieces.for_each([&](std::string_view piece, std::uint64_t) { n_cells += piece.size() + 1; });
  if (n_cells >= kInside) {
    return base::resource_exhausted({.where = "the corpus",
                                     .what = "has too many different pieces",
                                     .seen = std::to_string(n_cells) + " bytes",
                                     .next = "train on a part of it"});
  }
  const std::size_t n_tokens =
      static_cast<std::size_t>(options.vocab_size) - options.specials.size();
  Trainer trainer(pieces, options);
  pieces = PieceTable();
  trainer.run(n_tokens);
  TokenizerSpec spec;
  spec.split = options.split;
  spec.nfc = options.nfc;
  spec.tokens = trainer.take_tokens();
  spec.merges = trainer.take_merges();
  if (spec.tokens.size() < n_tokens) {
    const std::string most = std::to_string(spec.tokens.size() + options.specials.size());
    return base::invalid_argument({.where = "--vocab-size",
                                   .what = "is larger than the corpus supports",
                                   .seen = std::to_string(options.vocab_size),
                                   .allowed = "at most " + most + " (pairs seen at least " +
                                              std::to_string(options.least_count) + " times)",
                                   .next = "use --vocab-size " + most + ", or more text"});
  }
  for (const std::string& content : options.specials) {
    spec.specials.push_back(
        {.content = content, .id = static_cast<std::int32_t>(spec.tokens.size())});
    spec.tokens.emplace_back();
  }
  return Tokenizer::make(std::move(spec), "the trained tokenizer");
}

}  // namespace belay::text
