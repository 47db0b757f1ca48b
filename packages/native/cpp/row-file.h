// Reading rows of weights from an open file, at positions. One implementation a system (row-file.cpp). Owns the system
// calls; decides nothing. Compiled once, not once an instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace relufy {

/** What a session's memory holds of a stored buffer; src/session.ts writes it. */
struct StoredRows {
  int64_t file;
  int64_t firstByte;
  /** Bytes from a row to the next; more than a row where several are bundled. */
  int64_t stride;
};

/** A row's place in memory; laid out as the system's iovec. */
struct RowPiece {
  void* to;
  size_t bytes;
};

/** Whether rows can be read here at all. */
extern const bool canReadRows;

/** Tells the system that these bytes will be read soon; it begins at once, and does not wait. */
void announceRow(const StoredRows& rows, size_t at, size_t bytes);

/** Reads `count` rows that follow each other in the file into their places. 0, the system's error, or -1 at the end of the file. */
int readRows(const StoredRows& rows, size_t at, RowPiece* pieces, int count);

/** Prepares a file for reads at scattered places. */
void openForRows(int64_t file);

/** Gives up what the system keeps of the file in its own cache. */
void forgetPages(int64_t file);

}  // namespace relufy
