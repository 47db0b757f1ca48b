// The one loop of a step, run by the members of the step over the same program:
//
//   for op in [from, to): kernels[op.code](my share of op); barrier
//
// Who is a member changes between two ops: bits do not depend on the number of shares. The first thread to hear of a
// step drives it, and waits a moment for others; who comes later is admitted when the next op begins. A wait at the barrier that lasts longer than an op means
// that the system runs something else on the core of who is late, so:
//
//   the last to arrive, if others waited in vain for S:   while stalls take less than an eighth of the time, or 2 ms in all,
//                                                         go on as before: now and then the system takes a core away on a
//                                                         quiet machine too; else with one other, go on alone; with more,
//                                                         leave them
//   then for 8 S (more after relapses):                   admit nobody; a stall costs at most a ninth of the time
//   then:                                                 wake those who sleep, admit who comes
//
// Spinning costs 0.2 us while every thread has a core; a wait in vain sleeps, which frees the core for who is late.
// Before, a thread waited for one particular other at every op: 10 tokens/s instead of 441 with one thread beside four
// busy loops on two cores. A JavaScript thread never waits here.
#include <algorithm>
#include <thread>

#include "generated/ops.h"
#include "relax.h"
#include "team.h"

namespace relufy {

namespace {

/** Pauses before a thread looks at the clock. */
constexpr int blindSpins = 64;
using std::chrono::microseconds;
/** A wait within a step that lasts no longer than this, or than the waiter's own share, is no miss. */
constexpr microseconds patience{30};
/** The first to hear of a step waits for others for this share of what the last step took, and at most so long. */
constexpr int gathering = 64;
constexpr microseconds longestGathering{500};
/** How long those who came wait to be admitted before they sleep. */
constexpr microseconds attendance{200};
/** The team is alone for so many times as long as it was stalled, twice that after each relapse, and at most so long. */
constexpr int sulk = 8;
constexpr int mostRelapses = 4;
constexpr std::chrono::milliseconds longestSulk{500};
/** Stalls beyond an eighth of the time that add up to no more are borne. */
constexpr std::chrono::milliseconds forgiven{2};

}  // namespace

/** Becomes a member of what was commanded, as its driver or admitted by the members; false when a new command comes. */
bool Team::joinStep(int thread, uint32_t command) {
  uint32_t free = command & ~countMask;
  if (driver_.compare_exchange_strong(free, free | 1, std::memory_order_acq_rel)) {
    drive(thread);
    return true;
  }
  if (alone()) return false;  // and sleep at once: the core is somebody else's
  std::atomic<int>& standing = slots_[static_cast<size_t>(thread)]->standing;
  for (;;) {
    standing.store(here);
    int before = here;
    // pairs with recall(), which follows a new command
    if (command_.load() != command && standing.compare_exchange_strong(before, away)) return false;
    if (awaitStanding(standing) == member) return true;
    // a recall may be late, and meant for the command before
    if (command_.load() != command) return false;
  }
}

/** Waits to be a member or to be recalled; sleeps where that takes long. */
int Team::awaitStanding(const std::atomic<int>& standing) {
  const Clock::time_point until = Clock::now() + attendance;
  for (;;) {
    for (int i = 0; i < 32; i++) {
      const int now = standing.load(std::memory_order_acquire);
      if (now == member || now == away) return now;
      relax();
    }
    if (Clock::now() > until) standing.wait(here, std::memory_order_acquire);
  }
}

/** Begins the step as its first member, with those who are there. */
void Team::drive(int thread) {
  const Step step = *current_;
  Slot& own = *slots_[static_cast<size_t>(thread)];
  own.standing.store(member, std::memory_order_relaxed);
  own.share = 0;
  int members = 1;
  if (step.everyThread) {
    for (; members < step.threads; members = admit(members, step.threads))
      if (started_ > cores_) std::this_thread::yield();
      else relax();
  } else if (step.threads > 1 && step.from < step.to && !alone()) {
    // who wakes up later is admitted when the next op begins, which may be long if it has one thread
    invited_ = true;
    const Clock::time_point until = Clock::now() + std::min<Clock::duration>(lastStep_ / gathering, longestGathering);
    while ((members = admit(members, step.threads)) < step.threads && Clock::now() < until)
      for (int i = 0; i < 8; i++) relax();
  }
  lastOp_ = stepBegan_ = Clock::now();
  beginTurn(step.from, members, members > 1, step.threads);
}

/** Runs a member's shares until the step ends or the member is dismissed; gives the last command of that time. */
uint32_t Team::run(int thread, uint32_t command, char* scratch) {
  // a copy: after the last barrier the step may be gone
  Step* const shared = current_;
  const Step step = *shared;
  Slot& slot = *slots_[static_cast<size_t>(thread)];
  if (step.from >= step.to) {
    slot.standing.store(away, std::memory_order_relaxed);
    finish(shared);
    return command;
  }
  for (int i = op_; i < step.to; i++) {
    command = command_.load(std::memory_order_relaxed);
    const int members = static_cast<int>(turn_.load(std::memory_order_acquire) & countMask);
    const uint32_t* words = step.words + static_cast<size_t>(i) * recordWords;
    const uint32_t code = words[0];
    const bool measuring = code == streamRead;
    const int rows = measuring || words[countWords[code]] == countRows ? step.rows : step.outputs;
    Member self = {this, step.threads > 1 ? Clock::now() : Clock::time_point{}, step.everyThread};
    step.kernels->kernels[code]({{words, step.base}, rows, slot.share, members, scratch, shared_, barrierOf, &self});
    const uint32_t turn = turn_.load(std::memory_order_relaxed);  // barriers within the op began others
    if (members > 1 && arrivals_.fetch_add(1, std::memory_order_acq_rel) != static_cast<uint32_t>(members) - 1) {
      awaitTurn(turn, self);
      if (slot.share < 0) return command;
      continue;
    }
    if (step.times != nullptr) {
      const Clock::time_point now = Clock::now();
      step.times[i - step.from] = std::chrono::duration<double, std::milli>(now - lastOp_).count();
      lastOp_ = now;
    }
    if (i + 1 < step.to) {
      if (step.threads > 1) nextTurn(thread, step, i + 1, members);
      if (slot.share < 0) return command;
      continue;
    }
    lastStep_ = Clock::now() - stepBegan_;
    const Clock::rep missed = missedSince_.load(std::memory_order_relaxed);
    if (missed != 0 && members > 1) sulkSince(Clock::time_point(Clock::duration(missed)));
    missedSince_.store(0, std::memory_order_relaxed);
    // nobody is a member now, not even who still has to hear of it
    for (int other = 0; other < step.threads; other++) {
      int standing = member;
      slots_[static_cast<size_t>(other)]->standing.compare_exchange_strong(standing, away, std::memory_order_acq_rel);
    }
    beginTurn(step.to, members, false, step.threads);
    finish(shared);
  }
  return command;
}

/** By the last to arrive: decides who takes part in the next op, and begins it. */
void Team::nextTurn(int thread, const Step& step, int op, int members) {
  const int before = members;
  if (!step.everyThread) {
    const Clock::rep missed = members > 1 ? missedSince_.load(std::memory_order_relaxed) : 0;
    if (missed != 0) {
      missedSince_.store(0, std::memory_order_relaxed);
      if (sulkSince(Clock::time_point(Clock::duration(missed)))) members = dismiss(thread, members, step.threads);
    } else if (members < step.threads && !alone()) {
      if (!invited_) invite();
      members = admit(members, step.threads);
      if (members == before && before == 1) return;
    } else if (before == 1) {
      return;
    }
  }
  beginTurn(op, members, members > before, step.threads);
}

/** Takes those who are here into the turn that begins next; gives the number of members then. */
int Team::admit(int members, int threads) {
  for (int thread = 0; members < threads && thread < threads; thread++) {
    Slot& slot = *slots_[static_cast<size_t>(thread)];
    if (slot.standing.load(std::memory_order_relaxed) != here) continue;
    int standing = here;
    if (slot.standing.compare_exchange_strong(standing, taken, std::memory_order_acq_rel)) slot.share = members++;
  }
  return members;
}

/** Of two, the late one goes on alone: it has a core now, and the other sleeps. Of more, the late one leaves. */
int Team::dismiss(int thread, int members, int threads) {
  Slot& late = *slots_[static_cast<size_t>(thread)];
  const int freed = late.share;
  for (int other = 0; other < threads; other++) {
    Slot& slot = *slots_[static_cast<size_t>(other)];
    if (other == thread || slot.standing.load(std::memory_order_relaxed) != member) continue;
    if (members == 2) {
      slot.share = -1;
      slot.standing.store(away, std::memory_order_relaxed);
      late.share = 0;
      return 1;
    }
    if (slot.share == members - 1) slot.share = freed;
  }
  late.share = -1;
  late.standing.store(away, std::memory_order_relaxed);
  return members - 1;
}

/** The members go on with this op; those who were taken begin with it. */
void Team::beginTurn(int op, int members, bool grown, int threads) {
  op_ = op;
  arrivals_.store(0, std::memory_order_relaxed);
  const uint32_t turn = (turn_.load(std::memory_order_relaxed) | countMask) + 1;
  turn_.store(turn | static_cast<uint32_t>(members));
  turn_.notify_all();
  // the op cannot end before they come to it
  for (int thread = 0; grown && thread < threads; thread++) {
    std::atomic<int>& standing = slots_[static_cast<size_t>(thread)]->standing;
    if (standing.load(std::memory_order_relaxed) != taken) continue;
    standing.store(member);
    standing.notify_all();
  }
}

/** After a wait in vain: false while stalls are few or short; else nobody is admitted for a multiple of this one. */
bool Team::sulkSince(Clock::time_point since) {
  const Clock::time_point now = Clock::now();
  const Clock::duration stall = now - since;
  const Clock::duration peace = since - Clock::time_point(Clock::duration(troubleEnd_.load(std::memory_order_relaxed)));
  const Clock::duration before = std::max<Clock::duration>(Clock::duration{0}, stalled_ - peace / sulk);
  stalled_ = before + stall;
  const bool isolated = before == Clock::duration{0};
  relapses_ = isolated || stalled_ <= forgiven ? 0 : std::min(relapses_ + 1, mostRelapses);
  const Clock::duration pause =
      relapses_ == 0 ? Clock::duration{0} : std::min<Clock::duration>(stall * sulk * (1 << (relapses_ - 1)), longestSulk);
  troubleEnd_.store((now + pause).time_since_epoch().count(), std::memory_order_relaxed);
  if (relapses_ > 0) invited_ = false;
  return relapses_ > 0;
}

bool Team::alone() const {
  return Clock::now().time_since_epoch().count() < troubleEnd_.load(std::memory_order_relaxed);
}

/** Wakes those who sleep through a step that has its driver. */
void Team::invite() {
  invited_ = true;
  const uint32_t now = command_.load(std::memory_order_relaxed);
  const uint32_t generation = (now | countMask) + 1;
  driver_.store(generation | 1, std::memory_order_relaxed);
  command_.store(generation | (now & countMask));
  command_.notify_all();
}

/** Sends those who wait to be admitted back to the command. */
void Team::recall() {
  for (int thread = 0; thread < started_; thread++) {
    std::atomic<int>& standing = slots_[static_cast<size_t>(thread)]->standing;
    int before = here;
    if (standing.compare_exchange_strong(before, away)) standing.notify_all();
  }
}

/** Inside an op: waits for the other members of it, none of whom leaves. */
void Team::barrierOf(void* waiting) {
  const Member& self = *static_cast<Member*>(waiting);
  Team& team = *self.team;
  const uint32_t turn = team.turn_.load(std::memory_order_relaxed);
  const uint32_t members = turn & countMask;
  if (members == 1) return;
  if (team.arrivals_.fetch_add(1, std::memory_order_acq_rel) != members - 1) return team.awaitTurn(turn, self);
  team.arrivals_.store(0, std::memory_order_relaxed);
  team.turn_.store(turn + (1u << participantBits));
  team.turn_.notify_all();
}

/** Spins while the others may be at their shares; then notes a miss, and sleeps. */
void Team::awaitTurn(uint32_t turn, const Member& self) {
  const auto changed = [&] { return turn_.load(std::memory_order_acquire) != turn; };
  for (int i = 0; i < blindSpins; i++) {
    if (changed()) return;
    relax();
  }
  const Clock::time_point since = Clock::now();
  const Clock::time_point until = since + std::max<Clock::duration>(patience, since - self.began);
  while (!(self.everyThread && started_ > cores_) && Clock::now() < until)
    for (int i = 0; i < 8; i++) {
      if (changed()) return;
      relax();
    }
  if (!self.everyThread) {
    Clock::rep none = 0;
    missedSince_.compare_exchange_strong(none, since.time_since_epoch().count(), std::memory_order_relaxed);
  }
  while (!changed()) turn_.wait(turn, std::memory_order_acquire);
}

}  // namespace relufy
