// What this machine can do, measured in the same run as what is compared with it: the packed 2048^3
// product of oneDNN (a peer, not a part of Belay's own path) and the rate at which memory is read.
#pragma once

#include <string>

#include "base/context.h"
#include "tensor/dtype.h"

namespace belay::bench {

/// FLOP/s of oneDNN's matrix product with weights in the layout that it prefers; the best of
/// `repeats`.
double onednn_product(tensor::DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                      int n_threads, int repeats);

/// Bytes a second of reading 512 MB with all threads; the best of five.
double read_bandwidth(base::Context& ctx);

std::string onednn_version();

}  // namespace belay::bench
