// Training rows straight from a text: token ids are its bytes, rows are random windows. What a row
// holds is a pure function of (text, seed, step, row), so that a run does not depend on threads or
// on where it was resumed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace belay::data {

class ByteBatches {
 public:
  /// The text outlives this and has more than `context` bytes.
  ByteBatches(std::string_view text, std::int64_t context, std::uint64_t seed);

  /// Rows [first_row, ...) of a step, as many as fill `out`: each context + 1 ids, of which the
  /// last context are the targets.
  void rows(std::int64_t step, std::int64_t first_row, std::span<std::int32_t> out) const;

  std::int64_t context() const { return context_; }

 private:
  std::string_view text_;
  std::int64_t context_;
  std::uint64_t seed_;
};

}  // namespace belay::data
