// Near-duplicates against a slow twin: plain_paragraphs of real novels with planted edits, and the
// exact Jaccard similarity of all pairs. Prints what is found of which edit (docs/data.md quotes
// it):
//
//   belay_tests --gtest_filter='NearDuplicates.PlantedEdits*'
#include "data/near_duplicates.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <iostream>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "base/rng.h"
#include "data/embedded_corpus.h"

namespace belay::data {
namespace {

using Words = std::vector<std::string>;
using Shingles = std::set<std::string>;

/// The twin's own idea of words: enough for English.
Words words_of(const std::string& text) {
  Words words;
  bool inside = false;
  for (const char c : text) {
    const bool is_word = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (is_word && !inside) words.emplace_back();
    if (is_word) words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    inside = is_word;
  }
  return words;
}

Shingles shingles_of(const std::string& text) {
  const Words words = words_of(text);
  Shingles shingles;
  for (std::size_t i = 0; i + kShingleWords <= words.size(); ++i) {
    std::string run;
    for (std::size_t j = i; j < i + kShingleWords; ++j) run += words[j] + ' ';
    shingles.insert(run);
  }
  return shingles;
}

double jaccard(const std::vector<int>& a, const std::vector<int>& b) {
  std::size_t common = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) ++common;
    const bool step_a = a[i] <= b[j], step_b = b[j] <= a[i];
    i += step_a ? 1 : 0;
    j += step_b ? 1 : 0;
  }
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

/// Letters and spaces of the embedded novels' plain_paragraphs that have 60 to 400 words.
std::vector<std::string> plain_paragraphs(std::size_t n) {
  const std::string text = embedded_corpus().valid;
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size() && found.size() < n;) {
    const std::size_t end = std::min(text.find("\n\n", at), text.size());
    std::string paragraph = text.substr(at, end - at);
    for (char& c : paragraph) {
      if (static_cast<unsigned char>(c) >= 0x80) c = ' ';  // the twin knows ASCII alone
    }
    const std::size_t n_words = words_of(paragraph).size();
    if (n_words >= 60 && n_words <= 400) found.push_back(paragraph);
    at = end + 2;
  }
  return found;
}

Words split(const std::string& text, char at) {
  Words parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string join(const Words& parts, const std::string& with) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : with) + part;
  return text;
}

struct Edit {
  const char* name;
  double changed = 0;  // share of words replaced by words of the other plain_paragraphs
  double kept = 1;     // share of words left from the begin
  bool shuffled = false;
};
constexpr Edit kEdits[] = {{"1 % of words", 0.01},
                           {"2 % of words", 0.02},
                           {"5 % of words", 0.05},
                           {"10 % of words", 0.10},
                           {"20 % of words", 0.20},
                           {"30 % of words", 0.30},
                           {"sentences shuffled", 0, 1, true},
                           {"first 90 %", 0, 0.9},
                           {"first 60 %", 0, 0.6}};

std::string edited(const std::string& text, const Edit& edit, const Words& others,
                   const base::Rng& rng) {
  if (edit.shuffled) {
    Words sentences = split(text, '.');
    for (std::size_t i = sentences.size(); i > 1; --i) {
      std::swap(sentences[i - 1], sentences[rng.below(i, i)]);
    }
    return join(sentences, ".");
  }
  Words words = split(text, ' ');
  words.resize(std::max<std::size_t>(
      1, static_cast<std::size_t>(edit.kept * static_cast<double>(words.size()))));
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (rng.uniform(2 * i) < edit.changed) words[i] = others[rng.below(2 * i + 1, others.size())];
  }
  return join(words, " ");
}

/// Paragraphs, each followed by one edit of itself; every kind of edit has its turn.
struct Planted {
  std::vector<std::string> texts;
  std::vector<int> kinds;                  // of the edit at 2 i + 1
  std::vector<std::vector<int>> shingles;  // sorted numbers

  explicit Planted(std::size_t n) {
    const std::vector<std::string> originals = plain_paragraphs(n);
    Words others;
    for (const std::string& text : originals) {
      for (const std::string& word : words_of(text)) others.push_back(word);
    }
    for (std::size_t i = 0; i < originals.size(); ++i) {
      kinds.push_back(static_cast<int>(i % std::size(kEdits)));
      texts.push_back(originals[i]);
      texts.push_back(edited(originals[i], kEdits[kinds.back()], others,
                             base::Rng(3, base::Purpose::kTest, i)));
    }
    std::map<std::string, int> numbers;
    for (const std::string& text : texts) {
      std::vector<int>& list = shingles.emplace_back();
      for (const std::string& run : shingles_of(text)) {
        list.push_back(numbers.emplace(run, static_cast<int>(numbers.size())).first->second);
      }
      std::sort(list.begin(), list.end());
    }
  }
};

std::vector<NearDuplicates::Dropped> dropped(const std::vector<std::string>& texts,
                                             double threshold) {
  NearDuplicates near(threshold);
  for (const std::string& text : texts) near.add(near.minhash().sketch(text), false);
  return near.resolve();
}

std::string share(int a, int b) { return fmt::format("{:.4f} ({} of {})", 1.0 * a / b, a, b); }

struct Found {
  int alike = 0, alike_found = 0;  // pairs of exact likeness >= threshold + 0.05
  int dropped = 0,
      dropped_right = 0;  // documents, of exact likeness >= threshold - 0.05 to the kept
};

Found compare(const Planted& planted, double threshold) {
  std::vector<std::size_t> group(planted.texts.size());
  std::iota(group.begin(), group.end(), std::size_t{0});
  Found found;
  for (const auto& d : dropped(planted.texts, threshold)) {
    group[d.document] = d.kept;
    ++found.dropped;
    const double exact = jaccard(planted.shingles[d.document], planted.shingles[d.kept]);
    found.dropped_right += exact >= threshold - 0.05 ? 1 : 0;
  }
  for (std::size_t a = 0; a < group.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      if (jaccard(planted.shingles[a], planted.shingles[b]) < threshold + 0.05) continue;
      ++found.alike;
      found.alike_found += group[a] == group[b] ? 1 : 0;
    }
  }
  std::cout << fmt::format(
      "  threshold {}: recall {} of pairs at or above {:.2f}, precision {} at or "
      "above {:.2f}\n",
      threshold, share(found.alike_found, found.alike), threshold + 0.05,
      share(found.dropped_right, found.dropped), threshold - 0.05);
  for (std::size_t k = 0; k < std::size(kEdits); ++k) {
    int n = 0, n_dropped = 0;
    double sum = 0;
    for (std::size_t i = 0; i < planted.kinds.size(); ++i) {
      if (planted.kinds[i] != static_cast<int>(k)) continue;
      ++n;
      sum += jaccard(planted.shingles[2 * i], planted.shingles[2 * i + 1]);
      n_dropped += group[2 * i + 1] != 2 * i + 1 ? 1 : 0;
    }
    std::cout << fmt::format("    {:20} mean likeness {:.3f}, dropped {}\n", kEdits[k].name,
                             sum / n, share(n_dropped, n));
  }
  return found;
}

TEST(NearDuplicates, PlantedEditsAgainstAllPairs) {
  const Planted planted(540);
  ASSERT_EQ(planted.texts.size(), 1080u);
  for (const double threshold : {0.8, 0.5}) {
    const Found found = compare(planted, threshold);
    ASSERT_GT(found.alike, 50);
    EXPECT_GE(1.0 * found.alike_found / found.alike, 0.95);
    EXPECT_GE(1.0 * found.dropped_right / found.dropped, 0.95);
  }
}

TEST(NearDuplicates, TheEstimateIsUnbiasedWithTheErrorOfItsFormula) {
  const Planted planted(300);
  const MinHash minhash(0.8);
  double bias = 0, squares = 0, foreseen = 0;
  int n = 0;
  for (std::size_t i = 0; i < planted.texts.size(); i += 2) {
    const double exact = jaccard(planted.shingles[i], planted.shingles[i + 1]);
    const double seen = likeness(minhash.sketch(planted.texts[i]).digits,
                                 minhash.sketch(planted.texts[i + 1]).digits);
    EXPECT_TRUE(exact < 1 || seen == 1);
    bias += seen - exact;
    squares += (seen - exact) * (seen - exact);
    foreseen += exact * (1 - exact) / kPermutations;
    ++n;
  }
  std::cout << fmt::format("  bias {:.4f}, error {:.4f}, by the formula {:.4f}\n", bias / n,
                           std::sqrt(squares / n), std::sqrt(foreseen / n));
  EXPECT_LT(std::abs(bias / n), 0.006);
  EXPECT_NEAR(std::sqrt(squares / foreseen), 1, 0.15);
}

TEST(NearDuplicates, BandsFollowFromTheThreshold) {
  for (const double threshold : {0.3, 0.5, 0.7, 0.8, 0.9, 1.0}) {
    const Bands bands = bands_for(threshold);
    EXPECT_GE(chance_to_meet(bands, threshold), 0.95) << threshold;
    EXPECT_LE(bands.count * bands.rows, kPermutations);
    const Bands next{kPermutations / (bands.rows + 1), bands.rows + 1};
    EXPECT_TRUE(threshold == 1 || chance_to_meet(next, threshold) < 0.95) << threshold;
  }
  EXPECT_NEAR(chance_to_meet({2, 3}, 0.5), 1 - 0.875 * 0.875, 1e-12);
}

TEST(NearDuplicates, WordsCountAndNothingElse) {
  const std::string text = "The quick brown fox jumps over the lazy dog; and Äpfel are 7.";
  const std::string same = "the QUICK, brown fox\n\njumps \"over\" the lazy dog and äpfel are 7";
  EXPECT_EQ(dropped({text, same, "", "...", "!!!", "7"}, 1).size(), 1u);
  EXPECT_EQ(dropped({"one two", "One, two!", "one two three"}, 1).size(), 1u);
  EXPECT_EQ(dropped({text, "something else that has not one run of it"}, 0.3).size(), 0u);
}

TEST(NearDuplicates, AScriptWithoutSpacesHasAWordForEachLetter) {
  // Article 1 of the Universal Declaration of Human Rights in Chinese, Japanese and Thai.
  const std::string texts[] = {
      "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
      "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
      "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
      "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ "
      "ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ"};
  for (const std::string& text : texts) {
    const std::string cut = text.substr(0, text.size() - 9);  // three letters at the end
    const auto found = dropped({text, cut, texts[0] + texts[2]}, 0.8);
    ASSERT_EQ(found.size(), 1u) << text;
    EXPECT_EQ(found[0].document, 1u);
  }
}

TEST(NearDuplicates, APreferredDocumentStaysElseTheFirst) {
  const std::vector<std::string> texts = plain_paragraphs(3);
  NearDuplicates near(0.8);
  const auto add = [&](std::size_t i, bool preferred) {
    near.add(near.minhash().sketch(texts[i]), preferred);
  };
  add(0, false);
  add(1, false);
  add(0, true);
  add(0, true);
  add(1, false);
  add(2, true);
  const auto found = near.resolve();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].document, 0u);
  EXPECT_EQ(found[0].kept, 2u);
  EXPECT_EQ(found[1].document, 3u);
  EXPECT_EQ(found[1].kept, 2u);
  EXPECT_EQ(found[2].document, 4u);
  EXPECT_EQ(found[2].kept, 1u);
  EXPECT_EQ(found[2].likeness, 1);
  EXPECT_EQ(near.size(), 0u);
}

/// What is linked through others is one group, though its ends have less in common.
TEST(NearDuplicates, GroupsAreLinkedThroughOthers) {
  const Words words = words_of(plain_paragraphs(1)[0] + plain_paragraphs(2)[1]);
  std::vector<std::string> texts;
  for (std::ptrdiff_t i : {0, 12, 6}) {
    texts.push_back(join(Words(words.begin() + i, words.begin() + 100 + i), " "));
  }
  const auto found = dropped(texts, 0.8);  // 90 of 102 runs and, of the ends, 84 of 108
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].kept, 0u);
  EXPECT_EQ(found[1].kept, 0u);
}

}  // namespace
}  // namespace belay::data
