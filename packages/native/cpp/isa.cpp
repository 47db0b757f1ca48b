// The processor is asked once, when the binary is loaded; on x64 the system too, which must save the wide registers for
// us. Asked directly: __builtin_cpu_supports needs a run-time library that not every compiler brings.
#include "isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(_WIN32)
#include "windows-api.h"
#endif

namespace relufy {

#if defined(__x86_64__)
namespace avx512 {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
#elif defined(__aarch64__)
namespace dotprod {
extern const KernelTable table;
}
namespace neon {
extern const KernelTable table;
}
#endif
namespace scalar {
extern const KernelTable table;
}

namespace {

#if defined(__x86_64__)
struct Features {
  bool avx2 = false;
  bool avx512 = false;
};

/** By the tables of CPUID in Intel's manual, volume 2A; every bit that the flags of scripts/compile.mjs let code use. */
Features features() {
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return {};
  const auto all = [](unsigned word, unsigned bits) { return (word & bits) == bits; };
  constexpr unsigned osxsave = 1u << 27;
  if (!all(c, bit_FMA | bit_F16C | bit_AVX | bit_POPCNT | osxsave)) return {};
  unsigned saved, unused;
  __asm__("xgetbv" : "=a"(saved), "=d"(unused) : "c"(0));
  constexpr unsigned ymm = 0x06, zmm = 0xe6;
  if (!all(saved, ymm) || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  Features found;
  found.avx2 = all(b, bit_AVX2 | bit_BMI | bit_BMI2);
  found.avx512 = found.avx2 && all(saved, zmm) && all(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) &&
                 all(c, bit_AVX512VNNI);
  return found;
}
#elif defined(__aarch64__)
bool hasDotProducts() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(_WIN32)
  return IsProcessorFeaturePresent(PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE) != 0;
#else
  return true;  // every Apple processor of this architecture
#endif
}
#endif

std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> found;
#if defined(__x86_64__)
  const Features has = features();
  if (has.avx512) found.push_back(&avx512::table);
  if (has.avx2) found.push_back(&avx2::table);
#elif defined(__aarch64__)
  if (hasDotProducts()) found.push_back(&dotprod::table);
  found.push_back(&neon::table);
#endif
  found.push_back(&scalar::table);
  return found;
}

}  // namespace

const std::vector<const KernelTable*>& runnableTables() {
  static const std::vector<const KernelTable*> tables = detect();
  return tables;
}

const KernelTable* findTable(const std::string& name) {
  for (const KernelTable* table : runnableTables())
    if (name == table->name) return table;
  return nullptr;
}

}  // namespace relufy
