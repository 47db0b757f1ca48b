// Linux and macOS. A reservation is address space, no memory: pages come with the first write to them. Huge pages are
// asked for: a decode step walks gigabytes, and with 4 KiB pages every sixteenth cache line of a sparse row misses the TLB.
#if !defined(_WIN32)
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "pages.h"

namespace relufy {

char* reserveAddresses(size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return mapping == MAP_FAILED ? nullptr : static_cast<char*>(mapping);
}

void releaseAddresses(char* from, size_t bytes) { munmap(from, bytes); }

bool commitPages(char* from, size_t bytes) {
  if (mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
  madvise(from, bytes, MADV_HUGEPAGE);
#endif
  return true;
}

size_t pageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

OpenFile openFile(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return {-1, 0};
  struct stat about;
  if (fstat(file, &about) == 0 && about.st_size > 0) return {file, static_cast<size_t>(about.st_size)};
  const int error = errno;
  ::close(file);
  errno = error;
  return {-1, 0};
}

void closeFile(const OpenFile& file) {
  const int error = errno;
  ::close(static_cast<int>(file.handle));
  errno = error;
}

bool showFile(const OpenFile& file, char* at) {
  const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
  return mmap(at, file.bytes, PROT_READ | PROT_WRITE, flags, static_cast<int>(file.handle), 0) != MAP_FAILED;
}

#if defined(__linux__) && defined(MADV_HUGEPAGE)
const bool hasLargePages = true;

bool moveToLargePages(char* at, size_t bytes) {
  const size_t room = bytes + largePage;
  void* mapping = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return false;
  char* from = static_cast<char*>(mapping);
  char* copy = reinterpret_cast<char*>(wholeLargePages(reinterpret_cast<uintptr_t>(mapping)));
  if (copy > from) munmap(from, static_cast<size_t>(copy - from));
  if (from + room > copy + bytes) munmap(copy + bytes, static_cast<size_t>(from + room - (copy + bytes)));
  if (madvise(copy, bytes, MADV_HUGEPAGE) == 0) {
    memcpy(copy, at, bytes);
    if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) != MAP_FAILED) return true;
  }
  munmap(copy, bytes);
  return false;
}

void runWhenIdle() {
  const sched_param lowest = {};
#if defined(SCHED_IDLE)
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest);
#endif
}
#else
const bool hasLargePages = false;
bool moveToLargePages(char*, size_t) { return false; }
void runWhenIdle() {}
#endif

}  // namespace relufy
#endif
