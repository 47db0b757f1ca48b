// Who computes when, and on which slots of the KV cache. Work claims slots and gives them back; what waits is served in the
// order in which it asked. Steps run one at a time, round robin, so work of several kinds makes progress together. A prompt gets
// the slot that saves most: the one that holds its beginning, else the least recently used, into which the longest common
// prefix is copied from wherever it lies: another slot (a fork), or a conversation that was parked.
// Does not own what a step computes (steps.ts), nor which sequences share one (scheduler.ts).
import type { Session } from '@relufy/tensor';
import { commonPrefix, type ParkedSlots } from './parked-slots.js';
import type { SlotCache } from './slots.js';

/** Says between steps that there is no point in going on. */
export type Stopped = () => boolean;

export interface ClaimRequest {
  /** Slots that it cannot do without, and that it could use. Default: one. */
  readonly least?: number;
  readonly most?: number;
  /** What will be computed: the first slot then begins with as much of it as was computed before. */
  readonly ids?: readonly number[];
  /** A conversation, which may go on: its keys and values are worth keeping when others need the slot. */
  readonly isChat?: boolean;
  readonly stopped?: Stopped;
}

interface Claim extends ClaimRequest {
  readonly least: number;
  readonly most: number;
  readonly grant: (slots: readonly number[] | undefined) => void;
  readonly refuse: (error: unknown) => void;
}

/** What a slot is to those who look for one. */
interface SlotUse {
  /** Who computes in it: nobody's without. */
  claim?: Claim;
  /** It holds a conversation. */
  isChat: boolean;
  /** When it was given back, as a count. */
  lastUse: number;
}

/** Tokens of a prompt that another one is just computing: from here on it is worth to wait for them. */
const worthWaiting = 8;

export class SlotClaims {
  readonly #session: Session;
  readonly #cache: SlotCache;
  readonly #parked: ParkedSlots;
  readonly #closed: () => void;
  readonly #slots: readonly SlotUse[];
  #waiting: Claim[] = [];
  #uses = 0;
  #turns: Promise<unknown> = Promise.resolve();

  /** `closed` throws where nothing may run any more: what waits then gets that error. */
  constructor(session: Session, cache: SlotCache, parked: ParkedSlots, closed: () => void) {
    this.#session = session;
    this.#cache = cache;
    this.#parked = parked;
    this.#closed = closed;
    this.#slots = Array.from({ length: cache.slots }, () => ({ isChat: false, lastUse: 0 }));
  }

  /** Claims that hold slots, and that wait for some. */
  get occupancy(): { readonly running: number; readonly waiting: number } {
    const claims = new Set(this.#slots.map(({ claim }) => claim));
    claims.delete(undefined);
    return { running: claims.size, waiting: this.#waiting.length };
  }

  /**
   * Runs `work` when nothing else runs: a step with the reading of what it left, or the copying of slots. Turns come in the
   * order of their calls; after each of them slots are given to those that wait.
   */
  turn<T>(work: () => Promise<T> | T): Promise<T> {
    const turn = this.#turns.then(work);
    this.#turns = turn.then(
      () => this.#serve(),
      () => this.#serve(),
    );
    return turn;
  }

  /** Slots, or undefined where `stopped` said so first. Give them back by `release`. */
  claim({ least = 1, most = least, ...request }: ClaimRequest): Promise<readonly number[] | undefined> {
    const granted = new Promise<readonly number[] | undefined>((grant, refuse) => {
      this.#waiting.push({ ...request, least, most, grant, refuse });
    });
    void this.turn(() => {});
    return granted;
  }

  release(slots: readonly number[]): void {
    for (const slot of slots) {
      const use = this.#use(slot);
      delete use.claim;
      use.lastUse = ++this.#uses;
    }
    if (this.#waiting.length > 0) void this.turn(() => {});
  }

  /** Runs work with slots of its own, and gives them back however it ends. */
  async hold<T>(request: ClaimRequest, work: (slots: readonly number[]) => Promise<T>): Promise<T> {
    const slots = (await this.claim(request)) as readonly number[];
    try {
      return await work(slots);
    } finally {
      this.release(slots);
    }
  }

  /** Gives slots to those that wait, the first first. Nothing runs meanwhile. */
  async #serve(): Promise<void> {
    let ahead = true;
    for (const claim of this.#waiting) {
      try {
        this.#closed();
        if (claim.stopped?.()) claim.grant(undefined);
        else {
          const free = this.#slots.filter((use) => use.claim === undefined).length;
          // whoever needs more slots than there are holds up those behind: else it would wait for ever
          ahead &&= free >= claim.least;
          if (!ahead || this.#isBeingComputed(claim)) continue;
          claim.grant(await this.#take(claim, Math.min(free, claim.most)));
        }
      } catch (error) {
        claim.refuse(error);
      }
      this.#waiting = this.#waiting.filter((waiting) => waiting !== claim);
    }
  }

  /** Another one computes the beginning of this prompt right now: copying it will be faster than doing so twice. */
  #isBeingComputed({ ids }: Claim): boolean {
    // of a recurrent state only the end can be copied, which another prompt does not begin with
    if (ids === undefined || !this.#cache.keepsPrefixes) return false;
    const most = ids.length - 1;
    let held = 0;
    let coming = 0;
    for (const [slot, { claim }] of this.#slots.entries()) {
      held = Math.max(held, Math.min(most, this.#cache.commonPrefix(slot, ids)));
      if (claim?.ids) coming = Math.max(coming, Math.min(most, claim.ids.length - 1, commonPrefix(claim.ids, ids)));
    }
    return coming - held >= worthWaiting;
  }

  async #take(claim: Claim, count: number): Promise<readonly number[]> {
    const { ids, isChat = false } = claim;
    const free = [...this.#slots.entries()].filter(([, use]) => use.claim === undefined).map(([slot]) => slot);
    const byUse = free.sort((a, b) => this.#cost(a) - this.#cost(b));
    const continued = ids && free.find((slot) => this.#goesOn(slot, ids));
    const [first, ...others] =
      continued === undefined ? byUse : [continued, ...byUse.filter((slot) => slot !== continued)];
    const slots = [first as number, ...others.slice(0, count - 1)];
    for (const slot of slots) {
      const use = this.#use(slot);
      const keeps = isChat && slot === continued;
      if (use.isChat && !keeps) await this.#parked.park(this.#session, slot, this.#cache.ids(slot));
      Object.assign(use, { claim, isChat });
    }
    if (ids) await this.#fill(first as number, ids);
    return slots;
  }

  /** Empty slots first, then what nobody comes back to, then by age. */
  #cost(slot: number): number {
    const { isChat, lastUse } = this.#use(slot);
    if (this.#cache.length(slot) === 0) return -1;
    return isChat ? this.#uses + lastUse : lastUse;
  }

  /** All that the slot holds is the beginning of `ids`, and no other place holds more of it. */
  #goesOn(slot: number, ids: readonly number[]): boolean {
    const held = this.#cache.commonPrefix(slot, ids);
    if (held === 0 || held < this.#cache.length(slot)) return false;
    return this.#parked.longestPrefix(ids) <= held && this.#longestPrefix(ids).length <= held;
  }

  #longestPrefix(ids: readonly number[]): { readonly slot: number; readonly length: number } {
    let best = { slot: -1, length: 0 };
    for (const slot of this.#slots.keys()) {
      const length = this.#cache.commonPrefix(slot, ids);
      if (length > best.length) best = { slot, length };
    }
    return best;
  }

  /** Makes the slot begin with as much of `ids` as was computed before; the last one is computed anyway, for its logits. */
  async #fill(slot: number, ids: readonly number[]): Promise<void> {
    const wanted = ids.slice(0, -1);
    const held = this.#cache.commonPrefix(slot, wanted);
    const best = this.#longestPrefix(wanted);
    if (this.#parked.longestPrefix(wanted) > Math.max(held, best.length)) {
      this.#cache.truncate(slot, 0);
      this.#cache.append(slot, await this.#parked.restore(this.#session, slot, wanted));
    } else if (best.length > held) await this.#cache.fork(this.#session, best.slot, slot, best.length);
    else this.#cache.truncate(slot, held);
  }

  #use(slot: number): SlotUse {
    return this.#slots[slot] as SlotUse;
  }
}
