// An answer that went on after its context was full came in parts: one result of them all.
// Does not own what a part is (conversation.ts).
import type { GenerateResult, ModelStats, Rate } from '@relufy/models';

/** The parts in their order, at least one. */
export function mergeResults(parts: readonly GenerateResult[], text: string): GenerateResult {
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) throw new Error('internal: no part of an answer');
  if (parts.length === 1) return first;
  return {
    ...last,
    text,
    tokenIds: parts.flatMap(({ tokenIds }) => tokenIds),
    usage: {
      ...first.usage,
      completionTokens: parts.reduce((sum, { usage }) => sum + usage.completionTokens, 0),
    },
    stats: parts.map(({ stats }) => stats).reduce(mergeStats),
    seed: first.seed,
  };
}

/** Rates add up; what is a mean over decoded tokens is weighted by them. */
function mergeStats(a: ModelStats, b: ModelStats): ModelStats {
  const decode = mergeRates(a.decode, b.decode);
  const share = decode.tokens === 0 ? 0 : b.decode.tokens / decode.tokens;
  const mean = (x: number, y: number) => (1 - share) * x + share * y;
  const density = Object.entries(a.density).map(([site, layers]) => {
    const others = b.density[site as keyof ModelStats['density']] ?? [];
    if (layers.length === 0 || others.length === 0) return [site, layers.length === 0 ? others : layers] as const;
    return [site, layers.map((value, layer) => mean(value, others[layer] as number))] as const;
  });
  return {
    prefill: mergeRates(a.prefill, b.prefill),
    decode,
    tokensPerSecond: decode.tokensPerSecond,
    weightBytesPerToken: mean(a.weightBytesPerToken, b.weightBytesPerToken),
    denseWeightBytesPerToken: mean(a.denseWeightBytesPerToken, b.denseWeightBytesPerToken),
    density: Object.fromEntries(density) as unknown as ModelStats['density'],
  };
}

function mergeRates(a: Rate, b: Rate): Rate {
  const [tokens, ms] = [a.tokens + b.tokens, a.ms + b.ms];
  return { tokens, ms, tokensPerSecond: ms === 0 ? 0 : (1000 * tokens) / ms };
}
