// The layout of a session's memory within its addresses: committed from the front, files from the end downwards. System
// calls are in pages.h.
#include "memory.h"

#include <cerrno>
#include <cstdint>
#include <thread>

#include "pages.h"

namespace relufy {

namespace {
constexpr size_t reach = size_t{256} << 30;
/** Kernels may read up to a cache line after the last buffer. */
constexpr size_t slack = 64;
/** Copied and moved at a time by settle(): few pieces, and no piece takes long. */
constexpr size_t settleBytes = 4 * largePage;
}  // namespace

std::shared_ptr<Memory> Memory::reserve(size_t bytes) {
  const size_t needed = wholeLargePages(bytes + slack);
  if (needed > reach) return nullptr;
  for (size_t size = reach; size >= needed && size > 0; size /= 2) {
    const size_t mapped = size + largePage;
    char* mapping = reserveAddresses(mapped);
    if (mapping == nullptr) continue;
    char* base = reinterpret_cast<char*>(wholeLargePages(reinterpret_cast<uintptr_t>(mapping)));
    return std::shared_ptr<Memory>(new Memory(mapping, mapped, base, size));
  }
  return nullptr;
}

Memory::Memory(char* mapping, size_t mapped, char* base, size_t reserved)
    : mapping_(mapping), mapped_(mapped), base_(base), reserved_(reserved), mappedFrom_(reserved) {}

Memory::~Memory() { unmap(); }

bool Memory::commit(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t end = wholeLargePages(bytes + slack);
  if (end <= committed_) return true;
  if (end > mappedFrom_ || mapping_ == nullptr) return false;
  if (!commitPages(base_ + committed_, end - committed_)) return false;
  committed_ = end;
  return true;
}

size_t Memory::map(const char* path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const OpenFile file = openFile(path);
  if (file.handle == -1) return 0;
  size_t place = 0;
  const size_t page = pageBytes();
  const size_t pages = (file.bytes + page - 1) & ~(page - 1);
  // the page after the file is what kernels may read a little of
  const size_t room = wholeLargePages(pages + page);
  if (mapping_ == nullptr || room > mappedFrom_ - committed_) {
    errno = ENOMEM;
  } else {
    char* to = base_ + mappedFrom_ - room;
    if (commitPages(to + pages, page) && showFile(file, to)) {
      mappedFrom_ -= room;
      place = mappedFrom_;
      files_.emplace_back(place, file.bytes);
    }
  }
  closeFile(file);
  return place;
}

void Memory::settle(const std::shared_ptr<Memory>& memory) {
  if (!hasLargePages) return;
  memory->addView();
  std::thread([memory] {
    runWhenIdle();
    memory->settleFiles();
    memory->dropView();
  }).detach();
}

void Memory::settleFiles() {
  for (const auto& [place, size] : files_) {
    const size_t whole = size & ~(largePage - 1);  // the rest stays where it is
    for (size_t at = 0; at < whole; at += settleBytes) {
      const size_t bytes = whole - at < settleBytes ? whole - at : settleBytes;
      if (isClosed() || !moveToLargePages(base_ + place + at, bytes)) return;
    }
  }
}

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
  if (mapping_ != nullptr) releaseAddresses(mapping_, mapped_);
  mapping_ = nullptr;
}

}  // namespace relufy
