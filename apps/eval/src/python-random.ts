// Python's random.Random for whole-number seeds: the Mersenne Twister and what CPython draws from it, so that few-shot
// examples and bootstrap samples are those of lm-evaluation-harness. Port of CPython's _randommodule.c and random.py.

const N = 624;
const M = 397;

export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #index = N;

  constructor(seed: number) {
    // init_by_array with the seed's 32-bit words
    const key: number[] = [];
    for (let rest = Math.abs(seed); rest > 0 || key.length === 0; rest = Math.floor(rest / 2 ** 32))
      key.push(rest >>> 0);
    const state = this.#state;
    state[0] = 19650218;
    for (let i = 1; i < N; i++) {
      const before = state[i - 1]!;
      state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
    let i = 1;
    let j = 0;
    const advance = () => {
      if (++i >= N) {
        state[0] = state[N - 1]!;
        i = 1;
      }
    };
    for (let k = Math.max(N, key.length); k > 0; k--) {
      const before = state[i - 1]!;
      state[i] = (state[i]! ^ Math.imul(before ^ (before >>> 30), 1664525)) + key[j]! + j;
      advance();
      if (++j >= key.length) j = 0;
    }
    for (let k = N - 1; k > 0; k--) {
      const before = state[i - 1]!;
      state[i] = (state[i]! ^ Math.imul(before ^ (before >>> 30), 1566083941)) - i;
      advance();
    }
    state[0] = 0x80000000;
  }

  /** 32 random bits. */
  next(): number {
    if (this.#index >= N) this.#twist();
    let y = this.#state[this.#index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** In [0, 1), with 53 bits. */
  random(): number {
    const a = this.next() >>> 5;
    const b = this.next() >>> 6;
    return (a * 67108864 + b) / 9007199254740992;
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const drawn = this.next() >>> (32 - bits);
      if (drawn < n) return drawn;
    }
  }

  /** k of the items, without replacement, in the order drawn. */
  sample<T>(items: readonly T[], k: number): T[] {
    const n = items.length;
    if (k > n) throw new RangeError(`a sample of ${k} from ${n}`);
    let setSize = 21;
    if (k > 5) setSize += 4 ** Math.ceil(Math.log(k * 3) / Math.log(4));
    const result: T[] = [];
    if (n <= setSize) {
      const pool = [...items];
      for (let i = 0; i < k; i++) {
        const at = this.below(n - i);
        result.push(pool[at] as T);
        pool[at] = pool[n - i - 1] as T;
      }
      return result;
    }
    const selected = new Set<number>();
    while (result.length < k) {
      const at = this.below(n);
      if (selected.has(at)) continue;
      selected.add(at);
      result.push(items[at] as T);
    }
    return result;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff);
      state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#index = 0;
  }
}
