// The options of every verb that computes: threads, instruction set, compute type.
#pragma once

#include <memory>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "cli/options.h"
#include "tensor/dtype.h"

namespace belay::cli {

struct ComputeOptions {
  int threads = 0;  // 0: as many as are usable
  std::string isa = "auto";
  std::string dtype = "auto";  // auto: bf16 where the machine has instructions for it, else f32
};

/// Adds --threads, --isa and --dtype.
void add_compute_options(Verb verb, ComputeOptions& options);

/// The machine as the options want it.
struct Compute {
  std::unique_ptr<base::ThreadPool> threads;
  base::Context ctx;
  tensor::DType dtype;
  /// "2 threads, avx512bf16, bf16".
  std::string text() const;
};
base::Result<Compute> open_compute(const ComputeOptions& options);

}  // namespace belay::cli
