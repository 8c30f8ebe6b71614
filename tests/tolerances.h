// How far a fast path may lie from its slow twin in double, one table for each element type. Values
// are relative to the largest number of the row (outputs) or of the array (gradients). They are for
// rounding against real numbers only: between threads, rows and instruction sets the bits are equal
// (exactness_test.cpp).
#pragma once

#include <span>
#include <string_view>

#include "tensor/dtype.h"

namespace belay::test {

struct Tolerance {
  std::string_view operation;  // "": every one that is not named
  double output, input_gradient, weight_gradient;
};

// f32: one rounding is 6e-8 of a number, errors of a sum of n terms grow like sqrt(n); the largest
// that was seen is 7e-6 (Muon, whose fifteen products amplify it).
constexpr Tolerance kF32Tolerances[] = {{"", 2e-5, 2e-5, 2e-5}};

// bf16: inputs are numbers of bf16, so that the twin computes with the same ones. Arithmetic is
// f32; what is stored as bf16 is rounded once, by up to 2^-8 = 3.9e-3 of it. Gradients of weights
// are f32.
constexpr Tolerance kBf16Tolerances[] = {
    // Its rows are f32 whatever the compute type.
    {"embedding", 2e-5, 2e-5, 2e-5},
    // Probabilities and the gradients of scores are rounded before their second product.
    {"attention", 8e-3, 8e-3, 0},
    // Logits and log-probabilities are f32; gradients of logits are rounded before their products.
    {"output_head", 2e-5, 8e-3, 8e-3},
    {"adamw", 2e-5, 0, 0},
    // Every operand of fifteen products is rounded, and directions of small singular values grow by
    // up
    // to 3.4445^5 = 485: the update keeps its length and most of its direction.
    {"muon", 1.5e-1, 0, 0},
    {"", 4e-3, 4e-3, 2e-5},
};

constexpr Tolerance tolerance(std::string_view operation, tensor::DType dtype) {
  const auto table = dtype == tensor::DType::kBF16 ? std::span<const Tolerance>(kBf16Tolerances)
                                                   : std::span<const Tolerance>(kF32Tolerances);
  for (const Tolerance& t : table) {
    if (t.operation == operation || t.operation.empty()) return t;
  }
  return table.back();
}

/// Complex-step and central differences of a twin in double.
constexpr double kTwinDerivatives = 1e-6;

}  // namespace belay::test
