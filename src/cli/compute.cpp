#include "cli/compute.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/cpu.h"
#include "base/json.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

constexpr int kMaxThreads = 1024;

Result<int> choose_threads(int wanted) {
  if (wanted == 0) return base::usable_cpus();
  if (wanted > 0 && wanted <= kMaxThreads) return wanted;
  return out_of_range("--threads", std::to_string(wanted), fmt::format("1 to {}", kMaxThreads));
}

std::string supported_text() {
  std::string text = "auto";
  for (const base::Isa isa : base::supported_isas()) text += fmt::format(", {}", isa_name(isa));
  return text;
}

Result<base::Isa> choose_isa(const std::string& name) {
  if (name == "auto") return base::best_isa();
  const auto isa = base::parse_isa(name);
  const auto& have = base::supported_isas();
  if (isa && std::find(have.begin(), have.end(), *isa) != have.end()) return *isa;
  return base::invalid_argument({.where = "--isa",
                                 .what = isa ? "this machine does not have it" : "is not known",
                                 .seen = base::printable(name),
                                 .allowed = supported_text()});
}

Result<tensor::DType> choose_dtype(const std::string& name, base::Isa isa) {
  if (name == "f32") return tensor::DType::kF32;
  if (name == "bf16") return tensor::DType::kBF16;
  if (name == "auto") return base::has_bf16(isa) ? tensor::DType::kBF16 : tensor::DType::kF32;
  return base::invalid_argument({.where = "--dtype",
                                 .what = "is not known",
                                 .seen = base::printable(name),
                                 .allowed = "auto, f32, bf16"});
}

}  // namespace

void add_compute_options(Verb verb, ComputeOptions& options) {
  const char* const group = "Machine";
  verb.option("--threads", options.threads, "Threads; 0: all that this process may use")
      .group(group);
  verb.option("--isa", options.isa, "Instruction set: auto, scalar, avx2, avx512, ...")
      .group(group);
  verb.option("--dtype", options.dtype, "Compute type: auto, f32, bf16").group(group);
}

Result<Compute> open_compute(const ComputeOptions& options) {
  BELAY_ASSIGN_OR_RETURN(const int n_threads, choose_threads(options.threads));
  BELAY_ASSIGN_OR_RETURN(const base::Isa isa, choose_isa(options.isa));
  BELAY_ASSIGN_OR_RETURN(const tensor::DType dtype, choose_dtype(options.dtype, isa));
  auto threads = std::make_unique<base::ThreadPool>(n_threads);
  base::ThreadPool& pool = *threads;
  return Compute{std::move(threads), base::Context{pool, isa}, dtype};
}

std::string Compute::text() const {
  return fmt::format("{} thread{}, {}, {}", threads->size(), threads->size() == 1 ? "" : "s",
                     base::isa_name(ctx.isa), tensor::dtype_name(dtype));
}

}  // namespace belay::cli
