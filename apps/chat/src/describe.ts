// Numbers of a model's work as text for people: the line after an answer, `/stats`, sizes and shares.
// Plain text: where it goes and in which colour is screen.ts.
import type { GenerateResult, ModelStats } from '@relufy/models';
import type { Conversation } from './conversation.js';

/** `17.8 MB`: powers of 1000, three digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${threeDigits(value)} ${units[unit]}`;
}

/** `265`, `9.42`, `0.31`: as many digits as say something. */
export function threeDigits(value: number): string {
  if (value === 0 || Number.isInteger(value)) return String(value);
  return value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

/** `9.0 %`, `62 %` */
export function formatShare(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** The line after an answer, in words; `/stats` says more. */
export function describeAnswer({ usage, stats, finishReason }: GenerateResult, maxNewTokens?: number): string {
  const parts = [countOf(usage.completionTokens, 'token')];
  if (stats.decode.tokens > 0) {
    parts.push(`${threeDigits(stats.tokensPerSecond)} tokens/s`);
    const active = mean(stats.density.down);
    if (active < 1) parts.push(`${wholeShare(active)} of neurons used`);
  }
  if (finishReason === 'abort') parts.push('stopped');
  if (finishReason === 'length')
    parts.push(usage.completionTokens === maxNewTokens ? 'cut at maxNewTokens' : 'cut: the context is full');
  return parts.join(', ');
}

/** What `/stats` says: everything since the model was loaded, and the newest answer. */
export function describeStats(title: string, conversation: Conversation): string {
  const { model, lastResult: last, forgottenMessages: forgotten } = conversation;
  const stats = model.stats();
  const { prefill, decode, density } = stats;
  const lines = [
    `model    ${title}`,
    `backend  ${model.backend}, ${formatBytes(model.memoryBytes)}`,
    `context  ${conversation.tokenCount} of ${model.contextLength} tokens${forgotten === 0 ? '' : `, ${countOf(forgotten, 'message')} forgotten`}`,
    `prompt   ${prefill.tokens} tokens, ${threeDigits(prefill.tokensPerSecond)} tokens/s`,
    `answers  ${decode.tokens} tokens, ${threeDigits(decode.tokensPerSecond)} tokens/s`,
  ];
  if (decode.tokens === 0) return lines.join('\n');
  if (last !== undefined) {
    const { promptTokens, cachedTokens, completionTokens } = last.usage;
    const { prefill: read, decode: written } = last.stats;
    lines.push(
      `last     ${countOf(completionTokens, 'token')} in ${threeDigits((read.ms + written.ms) / 1000)} s, ${threeDigits(read.ms / 1000)} s of it before the first; prompt ${promptTokens}, ${cachedTokens} of it remembered`,
    );
  }
  lines.push(`weights  ${describeBytes(stats)} read per token of an answer`);
  const sparse = Object.entries(density).filter(([, layers]) => layers.some((share) => share < 1));
  for (const [site, layers] of sparse)
    lines.push(
      `${site.padEnd(9)}${formatShare(mean(layers))} active; by layer ${layers.map((share) => formatShare(share).slice(0, -2)).join(' ')}`,
    );
  return lines.join('\n');
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** `6 %`; below one per cent a digit more. */
function wholeShare(share: number): string {
  return `${(100 * share).toFixed(share > 0 && share < 0.01 ? 1 : 0)} %`;
}

/** `10.2 of 17.8 MB`, or all that there is. */
function describeBytes({ weightBytesPerToken: read, denseWeightBytesPerToken: dense }: ModelStats): string {
  const [all, part] = [formatBytes(dense), formatBytes(read)];
  if (read >= dense) return all;
  return all.slice(-2) === part.slice(-2) ? `${part.slice(0, -3)} of ${all}` : `${part} of ${all}`;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 1 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
