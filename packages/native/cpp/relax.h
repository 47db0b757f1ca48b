// What a thread does between two looks at a word that another thread will write: 10 to 60 ns.
#pragma once

namespace relufy {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace relufy
