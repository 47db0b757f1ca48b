// Windows. A reservation holds addresses, and committed pages count against what the system can give, written or not.
// A file is read, not mapped: a view cannot be put inside a reservation without calls that Windows 10 has only in parts.
#if defined(_WIN32)
#include <cerrno>

#include "pages.h"
#include "windows-api.h"

namespace relufy {

namespace {
int errorNumber(DWORD error) {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND: return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION: return EACCES;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_COMMITMENT_LIMIT: return ENOMEM;
    default: return EIO;
  }
}
}  // namespace

char* reserveAddresses(size_t bytes) {
  return static_cast<char*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE, PAGE_NOACCESS));
}

void releaseAddresses(char* from, size_t) { VirtualFree(from, 0, MEM_RELEASE); }

bool commitPages(char* from, size_t bytes) {
  return VirtualAlloc(from, bytes, MEM_COMMIT, PAGE_READWRITE) != nullptr;
}

size_t pageBytes() {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

OpenFile openFile(const char* path) {
  wchar_t wide[32768];  // the longest path there is
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 32768) == 0) {
    errno = ENOENT;
    return {-1, 0};
  }
  HANDLE file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_FLAG_SEQUENTIAL_SCAN, nullptr);
  LARGE_INTEGER size = {};
  if (file == INVALID_HANDLE_VALUE) {
    errno = errorNumber(GetLastError());
    return {-1, 0};
  }
  if (GetFileSizeEx(file, &size) == 0 || size.QuadPart == 0) {
    CloseHandle(file);
    errno = EINVAL;
    return {-1, 0};
  }
  return {static_cast<long long>(reinterpret_cast<intptr_t>(file)), static_cast<size_t>(size.QuadPart)};
}

void closeFile(const OpenFile& file) { CloseHandle(reinterpret_cast<HANDLE>(static_cast<intptr_t>(file.handle))); }

bool showFile(const OpenFile& file, char* at) {
  if (!commitPages(at, file.bytes)) {
    errno = ENOMEM;
    return false;
  }
  const HANDLE handle = reinterpret_cast<HANDLE>(static_cast<intptr_t>(file.handle));
  constexpr size_t most = size_t{64} << 20;
  for (size_t done = 0; done < file.bytes;) {
    const size_t wanted = file.bytes - done < most ? file.bytes - done : most;
    DWORD got = 0;
    if (ReadFile(handle, at + done, static_cast<DWORD>(wanted), &got, nullptr) == 0 || got == 0) {
      errno = EIO;
      VirtualFree(at, file.bytes, MEM_DECOMMIT);
      return false;
    }
    done += got;
  }
  return true;
}

const bool hasLargePages = false;
bool moveToLargePages(char*, size_t) { return false; }
void runWhenIdle() {}

}  // namespace relufy
#endif
