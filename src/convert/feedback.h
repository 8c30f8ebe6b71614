// Rounding a matrix to 4 bits so that the errors of a row cancel each other in what it computes.
//
// With H the second moments of the inputs (convert/calibrate.h), a row's error e costs e H e^T. H
// is factored as U D U^T, U upper triangular with ones on its diagonal, D diagonal: then the cost
// is sum_k D_k n_k^2 with n = e U. Weights are rounded from left to right, each after what the
// errors before it make up for is taken off: w_k - sum_{j<k} e_j U_jk; n_k is then its own rounding
// error. This is LDLQ (Chee et al., "QuIP", 2023), which equals GPTQ (Frantar et al., 2023). The
// scale of a group of 32 is the one of a few tried whose sum of D_k n_k^2 is the least.
//
// Cost of a matrix [out, in]: in^3 / 3 to factor, in double; out in^2 to round, in float. Plain
// loops in a fixed order: the same bits on every instruction set and for any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/context.h"

namespace belay::convert {

/// The factors of H + damping * mean(diagonal of H) * 1, in whose sense rows are rounded.
class Feedback {
 public:
  /// moments: [n, n], symmetric, no negative number on the diagonal. Takes 12 n^2 bytes, keeps 4
  /// n^2.
  Feedback(base::Context& ctx, std::span<const float> moments, std::int64_t n);
  /// Rounds a row of n weights to blocks of kQ4.
  void round_row(const float* row, std::byte* blocks) const;
  std::int64_t width() const { return n_; }

 private:
  std::int64_t n_;
  std::vector<float> upper_;   // U [n, n]
  std::vector<float> weight_;  // D [n]
};

}  // namespace belay::convert
