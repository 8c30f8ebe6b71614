#include "bench/roofline.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "ops/simd/dispatch.h"

namespace belay::bench {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Takes the place of zeros, whose products draw less power and run at a higher clock.
void fill(dnnl::memory& memory, dnnl::stream& stream, const dnnl::engine& engine) {
  const auto desc = memory.get_desc();
  const dnnl::memory::desc plain(desc.dims(), dnnl::memory::data_type::f32,
                                 dnnl::memory::format_tag::ab);
  std::vector<float> values(static_cast<std::size_t>(desc.dims()[0] * desc.dims()[1]));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2001) - 1000) * 1e-3f;
  }
  dnnl::memory source(plain, engine, values.data());
  dnnl::reorder(source, memory).execute(stream, source, memory);
  stream.wait();
}

}  // namespace

double onednn_product(tensor::DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                      int n_threads, int repeats) {
  using dnnl::memory;
  omp_set_num_threads(n_threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto type =
      dtype == tensor::DType::kBF16 ? memory::data_type::bf16 : memory::data_type::f32;
  const memory::desc a({m, k}, type, memory::format_tag::ab),
      c({m, n}, type, memory::format_tag::ab);
  const memory::desc b({k, n}, type, memory::format_tag::any);
  const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(a, b, c), engine);
  memory x(pd.src_desc(), engine), w(pd.weights_desc(), engine), y(pd.dst_desc(), engine);
  fill(x, stream, engine);
  fill(w, stream, engine);
  const dnnl::matmul product(pd);
  double best = 1e30;
  for (int i = 0; i <= repeats; ++i) {
    const double start = seconds_now();
    product.execute(stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
    stream.wait();
    if (i > 0) best = std::min(best, seconds_now() - start);
  }
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / best;
}

double read_bandwidth(base::Context& ctx) {
  constexpr std::int64_t kFloats = 128 << 20, kChunk = 1 << 18;
  const std::vector<float> memory(static_cast<std::size_t>(kFloats), 1.0f);
  const auto sum = ops::simd::kernels(ctx.isa).sum_squares;
  std::vector<float> sums(static_cast<std::size_t>(kFloats / kChunk));
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    const double start = seconds_now();
    ctx.threads.parallel(kFloats / kChunk, [&](std::int64_t c, int) {
      sums[static_cast<std::size_t>(c)] = sum(memory.data() + c * kChunk, kChunk);
    });
    best = std::min(best, seconds_now() - start);
  }
  return static_cast<double>(kFloats) * 4 / best;
}

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace belay::bench
