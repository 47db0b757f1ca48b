// POSIX only. The reservation is address space, no memory: pages come with the first write to them. Huge pages are
// asked for: a decode step walks gigabytes, and with 4 KiB pages every sixteenth cache line of a sparse row misses the TLB.
#include "memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>

namespace relufy {

namespace {
constexpr size_t hugePage = size_t{2} << 20;
constexpr size_t reach = size_t{256} << 30;
/** Kernels may read up to a cache line behind the last buffer. */
constexpr size_t slack = 64;
size_t wholePages(size_t bytes) { return (bytes + hugePage - 1) & ~(hugePage - 1); }
}  // namespace

std::shared_ptr<Memory> Memory::reserve(size_t bytes) {
  const size_t needed = wholePages(bytes + slack);
  if (needed > reach) return nullptr;
  for (size_t size = reach; size >= needed && size > 0; size /= 2) {
    const size_t mapped = size + hugePage;
    void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) continue;
    char* base = reinterpret_cast<char*>(wholePages(reinterpret_cast<uintptr_t>(mapping)));
    return std::shared_ptr<Memory>(new Memory(mapping, mapped, base, size));
  }
  return nullptr;
}

Memory::Memory(void* mapping, size_t mapped, char* base, size_t reserved)
    : mapping_(mapping), mapped_(mapped), base_(base), reserved_(reserved), mappedFrom_(reserved) {}

Memory::~Memory() { unmap(); }

bool Memory::commit(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t end = wholePages(bytes + slack);
  if (end <= committed_) return true;
  if (end > mappedFrom_ || mapping_ == nullptr) return false;
  char* from = base_ + committed_;
  if (mprotect(from, end - committed_, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
  madvise(from, end - committed_, MADV_HUGEPAGE);
#endif
  committed_ = end;
  return true;
}

size_t Memory::map(const char* path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  struct stat about;
  size_t place = 0;
  if (fstat(file, &about) == 0 && about.st_size > 0) {
    const size_t size = static_cast<size_t>(about.st_size);
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t pages = (size + page - 1) & ~(page - 1);
    // the page behind the file is what kernels may read a little of
    const size_t room = wholePages(pages + page);
    if (mapping_ == nullptr || room > mappedFrom_ - committed_) {
      errno = ENOMEM;
    } else {
      char* to = base_ + mappedFrom_ - room;
      if (mprotect(to + pages, page, PROT_READ | PROT_WRITE) == 0 &&
          mmap(to, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, 0) != MAP_FAILED) {
        mappedFrom_ -= room;
        place = mappedFrom_;
        files_.emplace_back(place, size);
      }
    }
  }
  const int error = errno;
  ::close(file);
  errno = error;
  return place;
}

#if defined(__linux__) && defined(MADV_HUGEPAGE)
namespace {
/** Copied and moved at a time: few pieces, and no piece takes long. */
constexpr size_t settleBytes = 4 * hugePage;

/** Puts a copy in large pages where `bytes` of a file were mapped; in between, readers wait. False: the system refuses. */
bool moveToLargePages(char* at, size_t bytes) {
  const size_t room = bytes + hugePage;
  void* mapping = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return false;
  char* from = static_cast<char*>(mapping);
  char* copy = reinterpret_cast<char*>(wholePages(reinterpret_cast<uintptr_t>(mapping)));
  if (copy > from) munmap(from, static_cast<size_t>(copy - from));
  if (from + room > copy + bytes) munmap(copy + bytes, static_cast<size_t>(from + room - (copy + bytes)));
  if (madvise(copy, bytes, MADV_HUGEPAGE) == 0) {
    memcpy(copy, at, bytes);
    if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) != MAP_FAILED) return true;
  }
  munmap(copy, bytes);
  return false;
}
}  // namespace

void Memory::settle(const std::shared_ptr<Memory>& memory) {
  memory->addView();
  std::thread([memory] {
    const sched_param lowest = {};
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest);
    memory->settleFiles();
    memory->dropView();
  }).detach();
}

void Memory::settleFiles() {
  for (const auto& [place, size] : files_) {
    const size_t whole = size & ~(hugePage - 1);  // the rest stays where it is
    for (size_t at = 0; at < whole; at += settleBytes) {
      const size_t bytes = whole - at < settleBytes ? whole - at : settleBytes;
      if (isClosed() || !moveToLargePages(base_ + place + at, bytes)) return;
    }
  }
}
#else
void Memory::settle(const std::shared_ptr<Memory>&) {}
#endif

bool Memory::isClosed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

void Memory::addView() {
  const std::lock_guard<std::mutex> lock(mutex_);
  views_++;
}

void Memory::dropView() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--views_ == 0 && closed_) unmap();
}

void Memory::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  if (views_ == 0) unmap();
}

void Memory::unmap() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
  mapping_ = nullptr;
}

}  // namespace relufy
