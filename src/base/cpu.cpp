#include "base/cpu.h"

#include <array>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace belay::base {
namespace {

constexpr std::array<std::pair<Isa, std::string_view>, 6> kNames = {{
    {Isa::kScalar, "scalar"},
    {Isa::kAvx2, "avx2"},
    {Isa::kAvx512, "avx512"},
    {Isa::kAvx512Bf16, "avx512bf16"},
    {Isa::kAmx, "amx"},
    {Isa::kNeon, "neon"},
}};

#if defined(__x86_64__)

/// Asks the kernel for the tile registers, which a process gets only on request. Threads inherit
/// them.
bool request_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, its feature
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// __builtin_cpu_supports reads CPUID and XCR0, so a set that the operating system does not save and
// restore counts as absent.
std::vector<Isa> detect() {
  __builtin_cpu_init();
  std::vector<Isa> isas = {Isa::kScalar};
  const auto leaf7 = [](unsigned subleaf) {
    std::array<unsigned, 4> r{};
    __get_cpuid_count(7, subleaf, &r[0], &r[1], &r[2], &r[3]);
    return r;
  };
  std::array<unsigned, 4> leaf1{};
  __get_cpuid(1, &leaf1[0], &leaf1[1], &leaf1[2], &leaf1[3]);
  const bool f16c = (leaf1[2] & bit_F16C) != 0;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2") || !f16c) {
    return isas;
  }
  isas.push_back(Isa::kAvx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl")) {
    return isas;
  }
  isas.push_back(Isa::kAvx512);
  constexpr unsigned kBf16Bit = 1u << 5;  // CPUID.(7, 1).EAX
  if (leaf7(0)[0] < 1 || (leaf7(1)[0] & kBf16Bit) == 0) return isas;
  if (!__builtin_cpu_supports("avx512vnni")) return isas;
  isas.push_back(Isa::kAvx512Bf16);
  // CPUID.(7, 0).EDX: AMX-BF16, AMX-TILE, AMX-INT8
  constexpr unsigned kTileBits = 1u << 22 | 1u << 24 | 1u << 25;
  if ((leaf7(0)[3] & kTileBits) == kTileBits && request_tiles()) isas.push_back(Isa::kAmx);
  return isas;
}

std::string detect_model() {
  unsigned max_leaf = __get_cpuid_max(0x80000000u, nullptr);
  if (max_leaf < 0x80000004u) return "x86-64";
  std::array<unsigned, 12> words{};
  for (unsigned i = 0; i < 3; ++i) {
    unsigned* w = &words[i * 4];
    __get_cpuid(0x80000002u + i, &w[0], &w[1], &w[2], &w[3]);
  }
  std::array<char, sizeof(words) + 1> text{};
  std::memcpy(text.data(), words.data(), sizeof(words));
  const std::string name = text.data();
  const auto first = name.find_first_not_of(' ');
  if (first == std::string::npos) return "x86-64";
  return name.substr(first, name.find_last_not_of(' ') - first + 1);
}

int detect_amd_family() {
  std::array<unsigned, 4> r{};
  if (!__get_cpuid(0, &r[0], &r[1], &r[2], &r[3]) || r[1] != signature_AMD_ebx) return 0;
  __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
  return static_cast<int>((r[0] >> 8 & 0xfu) + (r[0] >> 20 & 0xffu));
}

#elif defined(__aarch64__)

std::vector<Isa> detect() { return {Isa::kScalar, Isa::kNeon}; }
std::string detect_model() { return "aarch64"; }
int detect_amd_family() { return 0; }

#else

std::vector<Isa> detect() { return {Isa::kScalar}; }
std::string detect_model() { return "unknown"; }
int detect_amd_family() { return 0; }

#endif

}  // namespace

std::string_view isa_name(Isa isa) {
  for (const auto& [value, name] : kNames) {
    if (value == isa) return name;
  }
  return "?";
}

std::optional<Isa> parse_isa(std::string_view text) {
  for (const auto& [value, name] : kNames) {
    if (name == text) return value;
  }
  return std::nullopt;
}

const std::vector<Isa>& supported_isas() {
  static const std::vector<Isa> kIsas = detect();
  return kIsas;
}

Isa best_isa() { return supported_isas().back(); }

bool has_bf16(Isa isa) { return isa == Isa::kAvx512Bf16 || isa == Isa::kAmx; }

int amd_family() {
  static const int kFamily = detect_amd_family();
  return kFamily;
}

std::string cpu_model() { return detect_model(); }

}  // namespace belay::base
