// One session's memory: a stretch of reserved addresses, committed from the front as the session needs it, so that it
// grows without moving; files are mapped from its end downwards. Owns the mapping; knows nothing of what lies in it.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace relufy {

class Memory {
 public:
  /** Reserves 256 GiB of addresses (what 32-bit offsets in units of 64 bytes reach) or what the system allows, at least `bytes`; null if it does not. */
  static std::shared_ptr<Memory> reserve(size_t bytes);

  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  /** Aligned to 2 MiB. */
  char* base() const { return base_; }
  size_t reserved() const { return reserved_; }

  /** Makes the first `bytes` readable and writable; they are zero until written. False when the system refuses. */
  bool commit(size_t bytes);

  /**
   * Maps a whole file and gives where it begins, counted from the base. It is private: writing copies the page, the file
   * stays. 0 and errno when the file cannot be opened or mapped, or no addresses are left (ENOMEM).
   */
  size_t map(const char* path);

  /**
   * Moves what files were mapped into large pages, where the system has them, with the processor time that nobody else
   * wants; kernels may read meanwhile. What was mapped is not written from now on. The memory lives until it has ended.
   */
  static void settle(const std::shared_ptr<Memory>& memory);

  /** An ArrayBuffer over this memory was made, or died. */
  void addView();
  void dropView();

  /** Gives the memory back as soon as no ArrayBuffer shows it. Called when no step runs on it. */
  void close();

 private:
  Memory(char* mapping, size_t mapped, char* base, size_t reserved);
  void unmap();
  void settleFiles();
  bool isClosed();

  std::mutex mutex_;
  char* mapping_;
  size_t mapped_;
  char* base_;
  size_t reserved_;
  size_t committed_ = 0;
  /** Where the lowest mapped file begins. */
  size_t mappedFrom_;
  /** Mapped files: where they begin, and their bytes. */
  std::vector<std::pair<size_t, size_t>> files_;
  int views_ = 0;
  bool closed_ = false;
};

}  // namespace relufy
