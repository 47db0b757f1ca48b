// Decoding beside other programs: busy loops take the processors while models of one and of two threads answer, interleaved.
// Owns the loops (processes, which end with the bench) and the times of single tokens. Does not own which models.
import { spawn } from 'node:child_process';
import type { Model } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';

export interface Contender {
  readonly backend: string;
  readonly threads: number;
  readonly model: Pick<Model, 'generate'>;
}

export interface BusyResult {
  readonly loops: number;
  readonly backend: string;
  readonly threads: number;
  readonly tokensPerSecond: number;
  /** Of a token, in milliseconds. */
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Tokens per second over those of one thread of the same backend beside as many loops. */
  readonly overOne?: number;
}

/** Short turns: a scheduler's favour lasts some milliseconds, a noisy moment of the machine some hundred. */
const tokensPerTurn = 40;
/** A loop ends by itself too, should the bench be killed. */
const loop = (seconds: number) => `const end = Date.now() + ${seconds} * 1000; while (Date.now() < end);`;

/** Turns for `seconds` beside each number of loops. All contenders of a backend have to say the same. */
export async function benchBusy(
  contenders: readonly Contender[],
  loopCounts: readonly number[],
  seconds: number,
): Promise<BusyResult[]> {
  const results: BusyResult[] = [];
  for (const loops of loopCounts) {
    const busy = Array.from({ length: loops }, () =>
      spawn(process.execPath, ['-e', loop(2 * seconds + 30)], { stdio: 'ignore' }),
    );
    try {
      results.push(...(await besideLoops(contenders, loops, seconds)));
    } finally {
      for (const child of busy) child.kill();
    }
  }
  return results;
}

async function besideLoops(contenders: readonly Contender[], loops: number, seconds: number): Promise<BusyResult[]> {
  const times = contenders.map((): number[] => []);
  await checkAnswers(contenders); // and warm up
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < 2 || performance.now() < end; round++) {
    const order = [...contenders.keys()];
    for (const at of round % 2 === 0 ? order : order.reverse())
      times[at]?.push(...(await turn(contenders[at] as Contender)));
  }
  const speeds = times.map((own) => (1000 * own.length) / own.reduce((sum, ms) => sum + ms, 0));
  return contenders.map(({ backend, threads }, at) => {
    const sorted = (times[at] as number[]).sort((a, b) => a - b);
    const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number;
    const one = contenders.findIndex((other) => other.backend === backend && other.threads === 1);
    return {
      loops,
      backend,
      threads,
      tokensPerSecond: speeds[at] as number,
      medianMs: quantile(0.5),
      p99Ms: quantile(0.99),
      ...(one >= 0 && one !== at && { overOne: (speeds[at] as number) / (speeds[one] as number) }),
    };
  });
}

/** Milliseconds between tokens: all but the first, which waits for the prompt. */
async function turn({ model }: Contender): Promise<number[]> {
  const times: number[] = [];
  let last: number | undefined;
  for await (const _ of answer(model)) {
    const now = performance.now();
    if (last !== undefined) times.push(now - last);
    last = now;
  }
  return times;
}

const answer = (model: Contender['model']) =>
  model.generate('Once upon a time', { maxNewTokens: tokensPerTurn + 1, temperature: 0, stopTokenIds: [] });

async function checkAnswers(contenders: readonly Contender[]): Promise<void> {
  const said = new Map<string, string>();
  for (const { backend, threads, model } of contenders) {
    const { tokenIds } = await answer(model).result;
    const expected = said.get(backend) ?? tokenIds.join();
    if (tokenIds.join() !== expected)
      throw new RelufyError(
        'backend',
        `bench busy: ${backend}: ${threads} threads say something else. Nothing was timed.`,
      );
    said.set(backend, expected);
  }
}
