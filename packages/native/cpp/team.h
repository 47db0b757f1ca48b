// The thread team: one a process, shared by every session and every JavaScript thread in it. Threads that have no core
// for themselves take no part in a step until they have one again (turns.cpp).
// Owns the threads, their scratch, the barrier, and the queue that serves steps one after the other. Does not own
// memory (memory.h), kernels (kernels/) or promises (binding.cpp).
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "kernel-table.h"

namespace relufy {

/** The low bits of a command and of a turn: how many threads. The rest counts them. */
constexpr int participantBits = 10;
constexpr uint32_t countMask = (1u << participantBits) - 1;

/** One step over the ops [from, to) of a program, for those of the team's first `threads` threads that have a core. */
struct Step {
  const KernelTable* kernels;
  const uint32_t* words;
  char* base;
  int from;
  int to;
  int rows;
  int outputs;
  int threads;
  /** Every thread takes part in every op, whatever that costs: for tests of bits. */
  bool everyThread;
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
  using Clock = std::chrono::steady_clock;

  /** What a thread is to the step that runs. */
  enum Standing : int { away, here, taken, member };
  struct alignas(128) Slot {
    std::atomic<int> standing{away};
    /** Of a member: which share of an op is its own; below 0, it is a member no longer. */
    int share = 0;
  };
  /** A member at an op, for the barriers inside of it. */
  struct Member {
    Team* team;
    Clock::time_point began;
    bool everyThread;
  };

  bool grow(int threads);
  void work(int thread, uint32_t seen);
  bool joinStep(int thread, uint32_t command);
  static int awaitStanding(const std::atomic<int>& standing);
  void drive(int thread);
  uint32_t run(int thread, uint32_t command, char* scratch);
  static void barrierOf(void* waiting);
  void awaitTurn(uint32_t turn, const Member& self);
  void nextTurn(int thread, const Step& step, int op, int members);
  int admit(int members, int threads);
  int dismiss(int thread, int members, int threads);
  void beginTurn(int op, int members, bool grown, int threads);
  bool sulkSince(Clock::time_point since);
  bool alone() const;
  void invite();
  void recall();
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
  std::vector<std::unique_ptr<Slot>> slots_;

  // written by the thread that begins a turn, read by those who take part in it
  int op_ = 0;
  Clock::time_point lastOp_;
  Clock::time_point stepBegan_;
  Clock::duration lastStep_{0};
  /** Whether those who are away were called since the team was last alone; and stalls that came soon after that. */
  bool invited_ = true;
  /** How much longer stalls took than an eighth of the time since. */
  Clock::duration stalled_{0};
  int relapses_ = 0;
  /** When the last stall ended, or the time alone after it: until then nobody is admitted. In the clock's ticks. */
  std::atomic<Clock::rep> troubleEnd_{0};

  /** generation << 10 | participants: what the threads wait for between steps. */
  alignas(128) std::atomic<uint32_t> command_{0};
  /** A command without its participants, and whether a thread drives it. */
  alignas(128) std::atomic<uint32_t> driver_{0};
  alignas(128) std::atomic<uint32_t> arrivals_{0};
  /** generation << 10 | members: what the members wait for within a step. */
  alignas(128) std::atomic<uint32_t> turn_{0};
  /** When the first wait began that lasted too long, in the clock's ticks; 0 where none did. */
  alignas(128) std::atomic<Clock::rep> missedSince_{0};
};

}  // namespace relufy
