// The thread team: one a process, shared by every session and every JavaScript thread in it.
// Owns the threads, their scratch, the barrier, and the queue that serves steps one after the other. Does not own
// memory (memory.h), kernels (kernels/) or promises (binding.cpp).
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "kernel-table.h"

namespace relufy {

/** One step over the ops [from, to) of a program, for the team's first `threads` threads. */
struct Step {
  const KernelTable* kernels;
  const uint32_t* words;
  char* base;
  int from;
  int to;
  int rows;
  int outputs;
  int threads;
  size_t scratchBytes;
  size_t sharedBytes;
  /** Milliseconds of each op, when asked for. */
  double* times;
  /** Called by a thread of the team when all is done; the step is the callee's then. */
  void (*done)(Step*);
};

class Team : public std::enable_shared_from_this<Team> {
 public:
  /** The process's team, grown to at least `threads`; null when the system gives no more threads. */
  static std::shared_ptr<Team> join(int threads);
  /** Undoes one join; the threads end with the last, when nothing is queued. */
  void leave();

  void submit(Step* step);

  ~Team();

 private:
  bool grow(int threads);
  void work(int index, uint32_t seen);
  void run(const Step& step, int index, char* scratch);
  static void barrierOf(void* team);
  void barrier(int threads);
  void finish(Step* step);
  void publish(Step* step);
  void stop();

  std::mutex mutex_;
  std::deque<Step*> queue_;
  bool busy_ = false;
  int users_ = 0;
  int started_ = 0;
  int cores_ = 1;
  Step* current_ = nullptr;
  char* shared_ = nullptr;
  size_t sharedSize_ = 0;
  std::atomic<bool> stopping_{false};

  /** generation << 10 | participants: what the threads wait for between steps. */
  alignas(128) std::atomic<uint32_t> command_{0};
  alignas(128) std::atomic<uint32_t> arrivals_{0};
  alignas(128) std::atomic<uint32_t> generation_{0};
};

}  // namespace relufy
