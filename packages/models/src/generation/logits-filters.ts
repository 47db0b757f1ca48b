// Filters over the logits of one position, in place, and what they are made of. Each option of sampling is one of them; their
// numbers are checked one by one. They work in f64, which no combination of what is allowed leaves: a bias of 3e38 through a
// penalty of 0.01 is a large number like others.
// Does not own which filters a generation has, nor the seeded choice (sampling.ts).

export type Logits = Float32Array | Float64Array;

/** Changes logits in place, given the token ids of prompt and answer so far. */
export type LogitsFilter = (logits: Logits, previous: readonly number[], promptLength: number) => void;

export function temperature(value: number): LogitsFilter {
  // divided by next to nothing, a logit would leave f64 too: what counts is its distance from the best one
  if (value < 1e-4)
    return (logits) => {
      const top = largest(logits);
      for (let i = 0; i < logits.length; i++) logits[i] = ((logits[i] as number) - top) / value;
    };
  return (logits) => {
    for (let i = 0; i < logits.length; i++) logits[i] = (logits[i] as number) / value;
  };
}

export function topK(k: number): LogitsFilter {
  return (logits) => {
    if (k >= logits.length) return;
    const bar = logits[topIndices(logits, k)[k - 1] as number] as number;
    keep(logits, (logit) => logit >= bar);
  };
}

export function topP(p: number): LogitsFilter {
  let probabilities: Float64Array | undefined;
  return (logits) => {
    probabilities = softmax(logits, largest(logits), probabilities);
    keepMass(logits, logits, probabilities, p);
  };
}

export function minP(share: number): LogitsFilter {
  return (logits) => {
    const bar = largest(logits) + Math.log(share);
    keep(logits, (logit) => logit >= bar);
  };
}

export function typicalP(mass: number): LogitsFilter {
  return (logits) => {
    const probabilities = softmax(logits);
    let entropy = 0;
    for (const p of probabilities) if (p > 0) entropy -= p * Math.log(p);
    const nearness = probabilities.map((p) => (p > 0 ? -Math.abs(-Math.log(p) - entropy) : -Number.MAX_VALUE));
    keepMass(logits, nearness, probabilities, mass);
  };
}

export function repetitionPenalty(penalty: number): LogitsFilter {
  return (logits, previous) => {
    for (const id of new Set(previous)) {
      const logit = logits[id] as number;
      logits[id] = logit < 0 ? logit * penalty : logit / penalty;
    }
  };
}

export function frequencyAndPresence(frequency: number, presence: number): LogitsFilter {
  return (logits, previous, promptLength) => {
    const counts = new Map<number, number>();
    for (const id of previous.slice(promptLength)) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) logits[id] = (logits[id] as number) - count * frequency - presence;
  };
}

export function noRepeatNgram(size: number): LogitsFilter {
  return (logits, previous) => {
    const start = previous.length - (size - 1);
    if (start < 0) return;
    for (let i = 0; i + size <= previous.length; i++) {
      let same = true;
      for (let j = 0; j < size - 1 && same; j++) same = previous[i + j] === previous[start + j];
      if (same) logits[previous[i + size - 1] as number] = Number.NEGATIVE_INFINITY;
    }
  };
}

export function logitBias(bias: Readonly<Record<number, number>>): LogitsFilter {
  const entries = Object.entries(bias).map(([id, value]) => [Number(id), value] as const);
  return (logits) => {
    for (const [id, value] of entries) logits[id] = (logits[id] as number) + value;
  };
}

/** The first index of the largest value. */
export function argmax(values: Logits): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** log(sum(exp(logits))), computed in f64. */
export function logSumExp(logits: Logits): number {
  const top = largest(logits);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - top);
  return top + Math.log(sum);
}

/** The indices of the n largest, best first; equal ones in order of index. */
export function topIndices(logits: Logits, n: number): number[] {
  return n === 0 ? [] : [...leading(logits, n, () => 1).subarray(0, n)];
}

/** The index at which the shares, added in their order, go beyond the random number. */
export function draw(probabilities: Float64Array, random: number): number {
  let rest = random;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i] as number;
    if (p === 0) continue;
    last = i;
    rest -= p;
    if (rest < 0) return i;
  }
  return last; // rounding left a crumb
}

/** Further below the best one, a token's share is 4e-18 of its: a random number of 32 bits never draws it. */
export const negligible = -40;

/** Fills `out`, which may be `logits`, if it is as long. */
export function softmax(logits: Logits, top = largest(logits), out?: Float64Array): Float64Array {
  const shares = out?.length === logits.length ? out : new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < shares.length; i++) {
    const distance = (logits[i] as number) - top;
    const share = distance < negligible ? 0 : Math.exp(distance);
    shares[i] = share;
    sum += share;
  }
  for (let i = 0; i < shares.length; i++) shares[i] = (shares[i] as number) / sum;
  return shares;
}

/** NaN where there is one. */
export function largest(values: Logits): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value <= top) continue;
    if (Number.isNaN(value)) return value;
    top = value;
  }
  return top;
}

/** Leaves the tokens of the largest `values` whose probabilities together reach `mass`: the one that crosses it is kept. */
function keepMass(logits: Logits, values: Logits, probabilities: Float64Array, mass: number): void {
  const probabilityOf = (id: number) => probabilities[id] as number;
  // a little more: added in another order, the same numbers may miss it by their rounding
  const order = leading(values, mass + 1e-9, probabilityOf);
  let kept = 0;
  for (let sum = 0; kept < order.length && sum < mass; kept++) sum += probabilityOf(order[kept] as number);
  const own = Array.from(order.subarray(0, kept), (id) => logits[id] as number);
  logits.fill(Number.NEGATIVE_INFINITY);
  for (const [i, logit] of own.entries()) logits[order[i] as number] = logit;
}

const buckets = 64;
const bucketsPerNat = 2;

/**
 * The indices of the largest values, in falling order, equal ones in order of index: at least those whose weights together
 * reach `weight`. To sort all of a vocabulary takes longer than a step of a small model, so values are counted by their
 * distance from the largest first, and no more are sorted than are needed.
 */
function leading(values: Logits, weight: number, weightOf: (index: number) => number): Uint32Array {
  const top = largest(values);
  const bucketOf = (value: number) => Math.min(buckets - 1, bucketsPerNat * (top - value));
  const weights = new Float64Array(buckets);
  const counts = new Uint32Array(buckets);
  for (let i = 0; i < values.length; i++) {
    const bucket = Math.floor(bucketOf(values[i] as number));
    weights[bucket] = (weights[bucket] as number) + weightOf(i);
    counts[bucket] = (counts[bucket] as number) + 1;
  }
  let count = 0;
  let end = 0;
  for (let sum = 0; end < buckets && sum < weight; end++) {
    sum += weights[end] as number;
    count += counts[end] as number;
  }
  const indices = new Uint32Array(count);
  for (let i = 0, n = 0; n < count; i++) if (bucketOf(values[i] as number) < end) indices[n++] = i;
  return indices.sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
}

function keep(logits: Logits, wanted: (logit: number) => boolean): void {
  for (let i = 0; i < logits.length; i++) if (!wanted(logits[i] as number)) logits[i] = Number.NEGATIVE_INFINITY;
}
