// Rules that a document must pass to be kept: limits on data/text_measures.h, by name. A document
// is dropped by the first rule that it breaks; the order is that of quality_rules().
//
// Rules that judge words as one language writes them look only at documents where that means
// something: the length of words not where a letter is a syllable or a word, English stop words
// only at text in Latin letters.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/text_measures.h"

namespace belay::data {

struct QualityRule {
  enum class For : std::uint8_t { kAll, kLongWords, kLatin };
  std::string_view name;  // max-... or min-...
  double limit;           // where none is given
  bool gopher;            // of the preset
  Measure measure;
  int n = 0;  // of n-grams
  For texts = For::kAll;
  bool is_least() const { return name.starts_with("min-"); }
};
std::span<const QualityRule> quality_rules();

class QualityFilter {
 public:
  /// preset: "" or "gopher". filters: lists "NAME,NAME=VALUE,NAME=off" that add to it, change a
  /// limit or take a rule away.
  static base::Result<QualityFilter> parse(const std::string& preset,
                                           const std::vector<std::string>& filters);

  struct Limit {
    const QualityRule* rule = nullptr;
    double value = 0;
  };
  const std::vector<Limit>& limits() const { return limits_; }

  struct Broken {
    std::size_t limit = 0;  // in limits()
    double value = 0;       // of the document
  };
  /// The first rule that the text breaks.
  std::optional<Broken> broken_by(std::string_view text) const;

 private:
  base::Status add(std::string_view item);
  std::vector<Limit> limits_;  // in the order of quality_rules()
};

}  // namespace belay::data
