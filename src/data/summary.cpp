#include "data/summary.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/rng.h"
#include "text/unicode.h"

namespace belay::data {
namespace {

constexpr std::int64_t kPiece = 1 << 16;  // tokens read at a time

std::int64_t count_ids(const TokenStream& stream, std::int64_t vocab_size) {
  std::vector<bool> used(static_cast<std::size_t>(vocab_size));
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < stream.n_tokens(); t += kPiece) {
    ids.resize(static_cast<std::size_t>(std::min(kPiece, stream.n_tokens() - t)));
    stream.read(t, ids);
    for (const std::int32_t id : ids) used[static_cast<std::size_t>(id)] = true;
  }
  return std::count(used.begin(), used.end(), true);
}

std::vector<LengthBucket> histogram(const std::vector<std::int64_t>& sorted) {
  std::vector<LengthBucket> buckets;
  for (const std::int64_t n : sorted) {
    const auto least = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(n)));
    while (buckets.empty() || buckets.back().least < least) {
      buckets.push_back({buckets.empty() ? least : 2 * buckets.back().least, 0});
    }
    ++buckets.back().documents;
  }
  return buckets;
}

}  // namespace

SplitSummary summarize(const TokenStream& stream, std::int64_t vocab_size) {
  SplitSummary s;
  s.documents = stream.n_documents();
  s.tokens = stream.n_tokens();
  s.text_bytes = stream.n_text_bytes();
  if (s.documents == 0) return s;
  std::vector<std::int64_t> lengths;
  lengths.reserve(static_cast<std::size_t>(s.documents));
  for (std::int64_t d = 0, begin = 0; d < s.documents; ++d) {
    const std::int64_t end = stream.document_begin(d + 1);
    lengths.push_back(end - begin);
    begin = end;
  }
  std::sort(lengths.begin(), lengths.end());
  s.shortest = lengths.front();
  s.median = lengths[lengths.size() / 2];
  s.longest = lengths.back();
  s.lengths = histogram(lengths);
  s.ids_used = count_ids(stream, vocab_size);
  return s;
}

std::vector<Sample> draw_samples(const Dataset& dataset, Split split, std::int64_t n,
                                 std::int64_t max_tokens, std::uint64_t seed) {
  const TokenStream& stream = dataset.split(split);
  const base::Rng rng(seed, base::Purpose::kSample);
  n = std::min(n, stream.n_documents());
  std::set<std::int64_t> documents;
  for (std::uint64_t i = 0; static_cast<std::int64_t>(documents.size()) < n; ++i) {
    // The last ones in turn where chance takes too long.
    const double u = rng.uniform53(i);
    const auto drawn = static_cast<std::int64_t>(u * static_cast<double>(stream.n_documents()));
    documents.insert(i < 1000000 ? drawn : static_cast<std::int64_t>(i - 1000000));
  }
  std::vector<Sample> samples;
  for (const std::int64_t d : documents) {
    const std::int64_t begin = stream.document_begin(d);
    Sample sample{dataset.locate(split, begin), {}, stream.document_begin(d + 1) - begin};
    const std::int64_t skipped = stream.end_of_text() ? 1 : 0;
    std::vector<std::int32_t> ids(
        static_cast<std::size_t>(std::clamp<std::int64_t>(sample.tokens - skipped, 0, max_tokens)));
    stream.read(begin + skipped, ids);
    sample.text = dataset.tokenizer().decode(ids);
    sample.text.resize(text::valid_utf8_prefix(sample.text));
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace belay::data
