// The processor is asked once, when the binary is loaded. __builtin_cpu_supports also asks the system, which must save
// the wide registers for us.
#include "isa.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
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

static std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    found.push_back(&avx512::table);
  if (fma) found.push_back(&avx2::table);
#elif defined(__aarch64__)
#if defined(__linux__)
  const bool dotProducts = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  const bool dotProducts = true;  // every Apple processor of this architecture
#endif
  if (dotProducts) found.push_back(&dotprod::table);
  found.push_back(&neon::table);
#endif
  found.push_back(&scalar::table);
  return found;
}

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
