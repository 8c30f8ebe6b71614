// Every operation alone, at the sizes of a shape: recorded on a tape of its own (forward and
// backward), or a function that is called. To measure a new operation, add a row.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/operands.h"
#include "bench/shapes.h"
#include "ops/linear.h"
#include "tensor/tape.h"

namespace belay::bench {

/// What a row records on, with random values.
class Recorder {
 public:
  Recorder(base::Context& context, const TrainShape& s, tensor::DType dtype)
      : ctx(context), shape(s), config(s.config), compute(dtype), operands(ctx) {}

  /// An activation, with a gradient.
  tensor::Id input(const tensor::Shape& shape, tensor::DType dtype);
  /// No gradient.
  tensor::Id constant(const tensor::View& view) { return tape.external(view); }
  tensor::Id weight(const tensor::Shape& shape);
  /// [out, in] with its packed copies.
  ops::Matrix matrix(std::int64_t out, std::int64_t in);
  /// A random gradient for a result, from which backward starts.
  void seed(tensor::Id output);

  base::Context& ctx;
  const TrainShape& shape;
  const model::ModelConfig& config;
  tensor::DType compute;
  Operands operands;
  tensor::Tape tape;
};

struct TapeCase {
  std::string name;
  std::function<void(Recorder&)> record;
  bool backward = true;
};
const std::vector<TapeCase>& tape_cases();

/// A function, ready to be called, and what it costs.
struct Called {
  double flops = 0, bytes = 0;
  std::function<void()> call;
};
struct CallCase {
  std::string name;
  std::function<Called(Recorder&)> prepare;  // the recorder outlives the call
};
const std::vector<CallCase>& call_cases();

}  // namespace belay::bench
