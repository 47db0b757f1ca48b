// What an instruction set gives to the team: its name and a kernel an op. One object file each defines one
// (kernels/kernels.cpp); isa.cpp chooses among them.
#pragma once
#include "record.h"

namespace relufy {

/** One op as one thread sees it. */
struct Call {
  Record op;
  /** Rows of this step that the op loops over. */
  int rows;
  int thread;
  int threads;
  /** This thread's own, aligned to 64 bytes. */
  char* scratch;
  /** The team's, aligned to 64 bytes; nothing is left in it for the next op. */
  char* shared;
  /** Waits until every thread of the step has come here; every one of them must. */
  void (*barrier)(void* team);
  void* team;
};

using Kernel = void (*)(const Call&);

/** The code of the measuring kernel, which is not in the op table (kernels/stream.h). */
constexpr int streamRead = 255;

struct KernelTable {
  const char* name;
  /** By op code. */
  const Kernel* kernels;
  /** Bytes of scratch that a thread needs for an op. */
  size_t (*scratchBytes)(Record op, int maxRows, int threads);
  /** Bytes that the threads share for an op. */
  size_t (*sharedBytes)(Record op);
};

}  // namespace relufy
