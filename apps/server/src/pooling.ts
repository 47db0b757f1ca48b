// One vector of length 1 from the hidden states of a text: what an embedding of a language model is. Runs in browsers. Does
// not own the states (@relufy/models) or who asks for them.

export const poolings = ['mean', 'last'] as const;
/** The mean over the tokens, or the last one. */
export type Pooling = (typeof poolings)[number];

/** `states`: [tokens, width]; gives [width], of length 1 unless all are 0. */
export function pooled(states: Float32Array, tokens: number, pooling: Pooling): Float64Array {
  const width = states.length / tokens;
  const sum = new Float64Array(width);
  for (let token = pooling === 'last' ? tokens - 1 : 0; token < tokens; token++)
    for (let i = 0; i < width; i++) sum[i] = (sum[i] as number) + (states[token * width + i] as number);
  const length = Math.hypot(...sum);
  return sum.map((value) => (length > 0 ? value / length : 0));
}
