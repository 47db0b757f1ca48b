// Linux and macOS: preadv. What a step will read is announced first: 3,000 rows of 2 KB at random places of a virtual disk,
// cold, took 27 to 72 us a row so, by io_submit with 64 in flight 46 to 73, by preads of 16 threads 37 to 104, of one 177 to 302.
// The system's page cache would keep every row a second time, outside of anybody's budget, so
// what it read is given up after each step where the system lets us (Linux); and it reads nothing that was not asked for.
// Windows: not supported.
#include "row-file.h"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace relufy {

static_assert(sizeof(RowPiece) == sizeof(iovec));
static_assert(offsetof(RowPiece, to) == offsetof(iovec, iov_base));
static_assert(offsetof(RowPiece, bytes) == offsetof(iovec, iov_len));

const bool canReadRows = true;

void announceRow([[maybe_unused]] const StoredRows& rows, [[maybe_unused]] size_t at, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
  const int64_t from = rows.firstByte + static_cast<int64_t>(at);
  posix_fadvise(static_cast<int>(rows.file), from, static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
#endif
}

int readRows(const StoredRows& rows, size_t at, RowPiece* pieces, int count) {
  off_t from = static_cast<off_t>(rows.firstByte) + static_cast<off_t>(at);
  while (count > 0) {
    const ssize_t done = preadv(static_cast<int>(rows.file), reinterpret_cast<const iovec*>(pieces), count, from);
    if (done < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (done == 0) return -1;
    from += done;
    size_t left = static_cast<size_t>(done);
    while (count > 0 && left >= pieces->bytes) {
      left -= pieces->bytes;
      pieces++;
      count--;
    }
    if (left > 0) {
      pieces->to = static_cast<char*>(pieces->to) + left;
      pieces->bytes -= left;
    }
  }
  return 0;
}

void openForRows([[maybe_unused]] int64_t file) {
#if defined(__linux__)
  posix_fadvise(static_cast<int>(file), 0, 0, POSIX_FADV_RANDOM);
#elif defined(F_NOCACHE)
  fcntl(static_cast<int>(file), F_NOCACHE, 1);
#endif
}

void forgetPages([[maybe_unused]] int64_t file) {
#if defined(__linux__)
  posix_fadvise(static_cast<int>(file), 0, 0, POSIX_FADV_DONTNEED);
#endif
}

}  // namespace relufy
#else
namespace relufy {

const bool canReadRows = false;
void announceRow(const StoredRows&, size_t, size_t) {}
int readRows(const StoredRows&, size_t, RowPiece*, int) { return -1; }
void openForRows(int64_t) {}
void forgetPages(int64_t) {}

}  // namespace relufy
#endif
