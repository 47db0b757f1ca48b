// What memory.cpp asks of the system: addresses, pages for them, files in them. One implementation a system
// (pages-posix.cpp, pages-windows.cpp). Owns system calls; decides nothing.
#pragma once
#include <cstddef>

namespace relufy {

/** Addresses without memory behind them; null if the system has no such stretch. */
char* reserveAddresses(size_t bytes);
void releaseAddresses(char* from, size_t bytes);

/** Makes reserved addresses readable and writable; zero until written. Large pages are asked for, where there are some. */
bool commitPages(char* from, size_t bytes);

size_t pageBytes();

/** A file that is open for reading. `handle` is -1, and errno says why, where it could not be opened or is empty. */
struct OpenFile {
  long long handle;
  size_t bytes;
};
OpenFile openFile(const char* path);
void closeFile(const OpenFile& file);

/**
 * Shows the whole file at reserved addresses; what is written there never reaches it. POSIX maps it, Windows reads it.
 * False and errno where the system refuses.
 */
bool showFile(const OpenFile& file, char* at);

/** Whether moveToLargePages() can do anything here. */
extern const bool hasLargePages;
/** Puts a copy in large pages where `bytes` of a file are shown; readers meanwhile wait. False: the system refuses. */
bool moveToLargePages(char* at, size_t bytes);
/** The calling thread gets the processor time that nobody else wants. */
void runWhenIdle();

/** The size of a large page, and what stretches of memory are aligned to. */
constexpr size_t largePage = size_t{2} << 20;
constexpr size_t wholeLargePages(size_t bytes) { return (bytes + largePage - 1) & ~(largePage - 1); }

}  // namespace relufy
