// The one loop of a step, run by every thread of the team over the same program:
//
//   for op in [from, to): kernels[op.code](my share of op); barrier
//
// A step is published by writing it and then a new command word; threads beyond the step's count read only that word.
// The barrier: the last to arrive starts a new generation; the others spin while it is unchanged, then sleep.
//
// Spinning costs 0.2 us while every thread has a core; when threads outnumber cores a spinner only keeps the core from
// the thread it waits for, hence the bounds. A JavaScript thread never waits here.
#include "team.h"

#include <chrono>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>

#include "generated/ops.h"

namespace relufy {

namespace {

constexpr int participantBits = 10;
/** Pauses before a thread sleeps: within a step, and between steps. A pause is 10 to 40 ns. */
constexpr int barrierSpins = 4000;
constexpr int idleSpins = 400;
constexpr int crowdedSpins = 20;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint32_t awaitChange(const std::atomic<uint32_t>& word, uint32_t old, int spins) {
  for (int i = 0; i < spins; i++) {
    const uint32_t now = word.load(std::memory_order_acquire);
    if (now != old) return now;
    relax();
  }
  for (;;) {
    word.wait(old, std::memory_order_acquire);
    const uint32_t now = word.load(std::memory_order_acquire);
    if (now != old) return now;
  }
}

/** A thread's own memory, grown when a step asks for more than any before it. */
class Scratch {
 public:
  ~Scratch() { std::free(memory_); }
  char* atLeast(size_t bytes) {
    if (bytes <= size_) return memory_;
    std::free(memory_);
    size_ = (bytes + 4095) & ~size_t{4095};
    memory_ = static_cast<char*>(std::aligned_alloc(4096, size_));
    if (memory_ == nullptr) throw std::bad_alloc();
    return memory_;
  }

 private:
  char* memory_ = nullptr;
  size_t size_ = 0;
};

/** Never destroyed: threads of the team may outlive main(). */
struct Process {
  std::mutex mutex;
  std::shared_ptr<Team> team;
};
Process& process() {
  static Process* const one = new Process;
  return *one;
}

}  // namespace

std::shared_ptr<Team> Team::join(int threads) {
  const std::lock_guard<std::mutex> lock(process().mutex);
  std::shared_ptr<Team>& team = process().team;
  if (team == nullptr) team = std::make_shared<Team>();
  const std::lock_guard<std::mutex> own(team->mutex_);
  if (!team->grow(threads)) return nullptr;
  team->users_++;
  return team;
}

void Team::leave() {
  const std::lock_guard<std::mutex> lock(process().mutex);
  const std::lock_guard<std::mutex> own(mutex_);
  if (--users_ > 0) return;
  if (process().team.get() == this) process().team = nullptr;
  if (!busy_) stop();
}

bool Team::grow(int threads) {
  cores_ = static_cast<int>(std::thread::hardware_concurrency());
  const uint32_t seen = command_.load(std::memory_order_relaxed);
  for (; started_ < threads; started_++) {
    try {
      std::thread([self = shared_from_this(), index = started_, seen] { self->work(index, seen); }).detach();
    } catch (const std::system_error&) {
      return false;
    }
  }
  return true;
}

void Team::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  publish(nullptr);
}

void Team::submit(Step* step) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (busy_) queue_.push_back(step);
  else publish(step);
}

Team::~Team() { std::free(shared_); }

void Team::barrierOf(void* team) {
  Team* self = static_cast<Team*>(team);
  self->barrier(self->current_->threads);
}

void Team::publish(Step* step) {
  if (step != nullptr && step->sharedBytes > sharedSize_) {
    std::free(shared_);
    sharedSize_ = (step->sharedBytes + 4095) & ~size_t{4095};
    shared_ = static_cast<char*>(std::aligned_alloc(4096, sharedSize_));
  }
  busy_ = step != nullptr;
  current_ = step;
  const uint32_t generation = (command_.load(std::memory_order_relaxed) >> participantBits) + 1;
  const uint32_t threads = step != nullptr ? static_cast<uint32_t>(step->threads) : 0;
  command_.store(generation << participantBits | threads, std::memory_order_release);
  command_.notify_all();
}

void Team::finish(Step* step) {
  step->done(step);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!queue_.empty()) {
    Step* next = queue_.front();
    queue_.pop_front();
    publish(next);
  } else {
    busy_ = false;
    if (users_ == 0) stop();
  }
}

void Team::work(int index, uint32_t seen) {
  Scratch scratch;
  for (;;) {
    seen = awaitChange(command_, seen, started_ > cores_ ? 0 : idleSpins);
    if (stopping_.load(std::memory_order_relaxed)) return;
    const int threads = static_cast<int>(seen & ((1u << participantBits) - 1));
    if (index >= threads) continue;
    Step* step = current_;
    run(*step, index, scratch.atLeast(step->scratchBytes));
    if (index == 0) finish(step);
  }
}

void Team::run(const Step& shared, int index, char* scratch) {
  // a copy: after the last barrier the step may be gone
  const Step step = shared;
  using Clock = std::chrono::steady_clock;
  Clock::time_point before = Clock::now();
  for (int i = step.from; i < step.to; i++) {
    const uint32_t* words = step.words + static_cast<size_t>(i) * recordWords;
    const uint32_t code = words[0];
    const bool measuring = code == streamRead;
    const int rows = measuring || words[countWords[code]] == countRows ? step.rows : step.outputs;
    step.kernels->kernels[code]({{words, step.base}, rows, index, step.threads, scratch, shared_, barrierOf, this});
    barrier(step.threads);
    if (index == 0 && step.times != nullptr) {
      const Clock::time_point now = Clock::now();
      step.times[i - step.from] = std::chrono::duration<double, std::milli>(now - before).count();
      before = now;
    }
  }
}

void Team::barrier(int threads) {
  if (threads == 1) return;
  const uint32_t mine = generation_.load(std::memory_order_relaxed);
  if (arrivals_.fetch_add(1, std::memory_order_acq_rel) == static_cast<uint32_t>(threads) - 1) {
    arrivals_.store(0, std::memory_order_relaxed);
    generation_.store(mine + 1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  awaitChange(generation_, mine, threads > cores_ ? crowdedSpins : barrierSpins);
}

}  // namespace relufy
