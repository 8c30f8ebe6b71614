// Groups of documents that say nearly the same. Documents that meet in a band (data/minhash.h) and
// whose estimated likeness reaches the threshold are linked; whatever is linked, directly or
// through others, is one group, of which one document stays. The result follows from the documents
// and their order alone.
//
// Memory: about 128 + 4 bands bytes a document (200 at a threshold of 0.8), while resolve() works
// 16 more. Time: sorting each band; in a band where very many meet, a document is compared with the
// last kMostCompared of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/minhash.h"

namespace belay::data {

class NearDuplicates {
 public:
  static constexpr std::size_t kMostCompared = 256;

  explicit NearDuplicates(double threshold);
  const MinHash& minhash() const { return minhash_; }

  /// The next document; of a group the first preferred one stays, else the first one. A sketch
  /// without bands is like no other.
  void add(const Sketch& sketch, bool preferred);
  std::size_t size() const { return preferred_.size(); }

  struct Dropped {
    std::uint32_t document = 0, kept = 0;  // counted in the order of add(), from 0
    double likeness = 0;  // of these two; below the threshold where others link them
  };
  /// Those that do not stay, in order. What was added is forgotten.
  std::vector<Dropped> resolve();

 private:
  std::uint32_t root(std::uint32_t document);
  void link(std::uint32_t a, std::uint32_t b);
  void link_band(const std::vector<std::uint32_t>& keys);
  void link_bucket(const std::uint64_t* first, const std::uint64_t* last);

  double threshold_;
  MinHash minhash_;
  std::vector<Digits> digits_;
  std::vector<std::vector<std::uint32_t>> bands_;  // [band][document]
  std::vector<bool> preferred_, comparable_;
  std::vector<std::uint32_t> parents_;
};

}  // namespace belay::data
