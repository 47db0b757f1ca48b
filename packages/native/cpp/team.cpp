// The team's threads and its queue: starting and ending threads, publishing a step, and what a thread does between steps.
// Who takes part in a step, and how it runs, stands in turns.cpp. A step is published by writing it and then a new command
// word; threads beyond the step's count read only that word.
#include "team.h"

#include <new>
#include <system_error>
#include <thread>

#include "relax.h"

namespace relufy {

namespace {

/** Pauses before a thread sleeps between steps. */
constexpr int idleSpins = 400;

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

constexpr std::align_val_t page{4096};
char* allocatePages(size_t bytes) { return static_cast<char*>(::operator new(bytes, page)); }
void freePages(char* memory) { ::operator delete(memory, page); }

/** A thread's own memory, grown when a step asks for more than any before it. */
class Scratch {
 public:
  ~Scratch() { freePages(memory_); }
  char* atLeast(size_t bytes) {
    if (bytes <= size_) return memory_;
    freePages(memory_);
    memory_ = nullptr;
    memory_ = allocatePages(bytes);
    size_ = bytes;
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
  // slots are never moved: threads read theirs without a lock
  if (slots_.capacity() == 0) slots_.reserve(size_t{1} << participantBits);
  for (; started_ < threads; started_++) {
    slots_.push_back(std::make_unique<Slot>());
    try {
      std::thread([self = shared_from_this(), thread = started_, seen] { self->work(thread, seen); }).detach();
    } catch (const std::system_error&) {
      slots_.pop_back();
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

Team::~Team() { freePages(shared_); }

void Team::publish(Step* step) {
  if (step != nullptr && step->sharedBytes > sharedSize_) {
    freePages(shared_);
    shared_ = nullptr;
    shared_ = allocatePages(step->sharedBytes);
    sharedSize_ = step->sharedBytes;
  }
  busy_ = step != nullptr;
  current_ = step;
  if (step != nullptr && step->everyThread) troubleEnd_.store(0, std::memory_order_relaxed);
  const uint32_t generation = (command_.load(std::memory_order_relaxed) | countMask) + 1;
  const uint32_t threads = step != nullptr ? static_cast<uint32_t>(step->threads) : 0;
  driver_.store(generation, std::memory_order_relaxed);
  command_.store(generation | threads);
  command_.notify_all();
  recall();
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

void Team::work(int thread, uint32_t seen) {
  Scratch scratch;
  for (;;) {
    seen = awaitChange(command_, seen, started_ > cores_ ? 0 : idleSpins);
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (thread >= static_cast<int>(seen & countMask)) continue;
    if (joinStep(thread, seen)) seen = run(thread, seen, scratch.atLeast(current_->scratchBytes));
  }
}

}  // namespace relufy
