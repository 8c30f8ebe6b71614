// What the matrices of a model multiply along a text: the second moments H = sum x x^T of their
// inputs x. An error E of a matrix [out, in] changes its products, squared and summed over the
// text, by tr(E H E^T): so H says which errors count, and which cancel each other.
//
// Moments of a layer are [in, in] floats for each of four inputs. They are computed for as many
// layers at a time as the memory that is allowed holds (at least one), each time by a pass over the
// text. Sums run in the order of the text (ops/matmul.h): the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/context.h"
#include "model/model.h"

namespace belay::convert {

/// A text for the model, in windows that are documents of their own.
struct CalibrationText {
  std::vector<std::int32_t> ids;  // at least a window; what is left over of whole windows is unread
  std::int64_t window = 0;        // 2 to the model's positions
};

class Calibration {
 public:
  /// The model and its context outlive this. memory: bytes that moments may take together.
  Calibration(base::Context& ctx, const model::Model& model, CalibrationText text,
              std::int64_t memory);
  /// Of what the matrix of that role in a layer (the output layer: kHead, -1) multiplies: [in, in],
  /// symmetric; valid until another layer is asked for.
  std::span<const float> moments(model::Role role, std::int64_t layer);
  base::Context& ctx() const { return ctx_; }
  std::int64_t passes() const { return passes_; }  // over the text, so far

 private:
  struct Moments {
    model::Role role;
    std::int64_t layer = 0, width = 0;
    std::vector<float> sum;
  };
  void compute(std::int64_t first_layer);

  base::Context& ctx_;
  const model::Model& model_;
  CalibrationText text_;
  std::int64_t layers_at_once_ = 1, passes_ = 0;
  std::vector<Moments> held_;
};

}  // namespace belay::convert
