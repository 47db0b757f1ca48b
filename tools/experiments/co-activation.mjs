// Which neurons fire together (ReLU^2 Wins, arXiv 2402.03804, third test): of each neuron, how often its closest partner fires
// when it fires, over how often the others do. Sets of tokens are bits. Does not own what fires.

const bitsOf = (word) => {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
};

export class CoActivation {
  /** @param {number} neurons @param {number} tokens at most */
  constructor(neurons, tokens) {
    this.neurons = neurons;
    this.words = Math.ceil(tokens / 32);
    this.bits = new Uint32Array(neurons * this.words);
    this.tokens = 0;
    /** Of each token's neurons, the share that the token before had: sums over tokens. */
    this.overlap = { sum: 0, count: 0 };
    this.before = new Uint8Array(neurons);
  }

  /** @param {Uint8Array} active 1 for neurons that fire @param {boolean} isFirst of a text */
  add(active, isFirst) {
    let [own, shared] = [0, 0];
    for (let i = 0; i < this.neurons; i++) {
      if (active[i] === 0) continue;
      this.bits[i * this.words + (this.tokens >>> 5)] |= 1 << (this.tokens & 31);
      own++;
      shared += this.before[i];
    }
    if (!isFirst && own > 0) {
      this.overlap.sum += shared / own;
      this.overlap.count++;
    }
    this.before.set(active);
    this.tokens++;
  }

  /**
   * Means over neurons that fire at all. `next`: what a token shares with the one before; `partner`: how often the closest
   * partner fires when a neuron fires; `others`: how often the others do, on average; `chance`: the closest, if neurons fired
   * independently of each other: the neuron that fires most.
   */
  result() {
    const { neurons, words, bits } = this;
    const counts = Float64Array.from({ length: neurons }, (_, i) => {
      let count = 0;
      for (let word = 0; word < words; word++) count += bitsOf(bits[i * words + word]);
      return count;
    });
    let [partner, others, chance, seen] = [0, 0, 0, 0];
    for (let i = 0; i < neurons; i++) {
      if (counts[i] === 0) continue;
      let [most, sum, busiest] = [0, 0, 0];
      for (let j = 0; j < neurons; j++) {
        if (i === j) continue;
        let together = 0;
        for (let word = 0; word < words; word++) together += bitsOf(bits[i * words + word] & bits[j * words + word]);
        most = Math.max(most, together);
        busiest = Math.max(busiest, counts[j]);
        sum += together;
      }
      partner += most / counts[i];
      others += (sum - most) / counts[i] / Math.max(1, neurons - 2);
      chance += busiest / this.tokens;
      seen++;
    }
    const mean = (value) => (seen === 0 ? 0 : value / seen);
    const { sum, count } = this.overlap;
    const fires = counts.reduce((total, each) => total + each, 0) / this.tokens / neurons;
    return {
      next: count === 0 ? 0 : sum / count,
      ...{ partner: mean(partner), others: mean(others), chance: mean(chance), fires },
    };
  }
}
