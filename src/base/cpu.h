// What the processor can run. Detected once, never changed: the only global table of the program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace belay::base {

/// Instruction sets that kernels are written for.
///   kAvx2        AVX2, FMA, F16C, BMI2 (x86-64-v3)
///   kAvx512      the above and AVX-512 F, BW, CD, DQ, VL (x86-64-v4)
///   kAvx512Bf16  the above and AVX-512 BF16, VNNI (every processor with the former has the latter)
///   kAmx         the above and AMX TILE, BF16, INT8
enum class Isa : std::uint8_t { kScalar, kAvx2, kAvx512, kAvx512Bf16, kAmx, kNeon };

/// "scalar", "avx2", "avx512", "avx512bf16", "amx", "neon".
std::string_view isa_name(Isa isa);
std::optional<Isa> parse_isa(std::string_view name);

/// What this machine can run (processor and operating system), worst to best; kScalar is always
/// first.
const std::vector<Isa>& supported_isas();
Isa best_isa();

/// The set has instructions for bf16 products with f32 accumulation.
bool has_bf16(Isa isa);

/// AMD's number of the family (25: Zen 3 and 4, 26: Zen 5), 0 for other makers.
int amd_family();

/// The name that the processor gives itself, or the architecture where it gives none.
std::string cpu_model();

}  // namespace belay::base
