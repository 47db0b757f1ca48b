// What a server gives to several people at once: the model behind a socket, streams of chats by 1 to 16 clients, numbers of
// clients, interleaved. Counts tokens a second of all, the time to the first one, and what a stream waits between two.
// Does not own the server (@relufy/server); its clients run in this process, on the thread that serves.
import type { Model } from '@relufy/models';
import { createHandler, listen } from '@relufy/server';
import { summary } from './measure.js';

export interface ServeResult {
  readonly streams: number;
  /** Of all streams together: tokens by the time from the first request to the last token, the median of the rounds. */
  readonly tokensPerSecond: number;
  readonly spread: number;
  /** From the request to the first token, over all streams. */
  readonly firstTokenMs: number;
  readonly firstTokenP90Ms: number;
  /** Between two tokens of a stream. */
  readonly betweenMs: number;
  readonly betweenP99Ms: number;
}

const questions = [
  'Name three birds and say what they eat.',
  'What is the sea made of?',
  'Write a letter to a friend who moved away.',
  'How do I boil an egg?',
  'Explain rain to a child.',
  'Tell me about the moon.',
  'What is a good name for a dog, and why?',
  'Describe a market in the morning.',
];

/** The model is the caller's; the server is closed, and leaves it as it is. */
export async function benchServe(
  model: Model,
  counts: readonly number[],
  { tokens = 64, seconds = 20 } = {},
): Promise<readonly ServeResult[]> {
  const handler = createHandler({ models: [{ id: 'model', load: async () => kept(model) }], queue: 1000 });
  const server = await listen(handler, { port: 0 });
  try {
    const rounds = new Map(counts.map((count) => [count, [] as Round[]]));
    for (const count of counts) await round(server.url, count, 8, 0);
    const end = performance.now() + seconds * 1000 * counts.length;
    for (let n = 1; n <= 3 || performance.now() < end; n++)
      for (const count of counts) rounds.get(count)?.push(await round(server.url, count, tokens, n));
    return [...rounds].map(([streams, all]) => resultOf(streams, all));
  } finally {
    await server.close(1000);
  }
}

/** The server disposes its models; this one stays. */
function kept(model: Model): Model {
  return new Proxy(model, {
    get: (target, key) => {
      if (key === 'dispose') return async () => {};
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

interface Round {
  readonly tokensPerSecond: number;
  readonly firsts: readonly number[];
  readonly between: readonly number[];
}

async function round(url: string, count: number, tokens: number, n: number): Promise<Round> {
  const start = performance.now();
  const times = await Promise.all(Array.from({ length: count }, (_, i) => stream(url, tokens, i, n)));
  const spent = performance.now() - start;
  const heard = times.reduce((sum, { length }) => sum + length, 0);
  return {
    tokensPerSecond: (heard / spent) * 1000,
    firsts: times.map(([first = spent]) => first),
    between: times.flatMap((own) => own.slice(1).map((time, i) => time - (own[i] as number))),
  };
}

/** When each token of a stream came, in ms after the request. */
async function stream(url: string, tokens: number, client: number, n: number): Promise<readonly number[]> {
  const start = performance.now();
  const content = `${n} ${client}: ${questions[(client + n) % questions.length]}`;
  const asked = { messages: [{ role: 'user', content }], max_tokens: tokens, ignore_eos: true, temperature: 0 };
  const body = JSON.stringify({ ...asked, stream: true, logprobs: true });
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
  if (!response.ok || response.body === null) throw new Error(`internal: the server answered ${response.status}`);
  const times: number[] = [];
  let rest = '';
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split('\n\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      // one log-probability a token, whatever its text
      const count = line.match(/"token":/g)?.length ?? 0;
      for (let i = 0; i < count; i++) times.push(performance.now() - start);
    }
  }
  return times;
}

function resultOf(streams: number, rounds: readonly Round[]): ServeResult {
  const at = (values: readonly number[], share: number) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  };
  const { ms: tokensPerSecond, spread } = summary(rounds.map((each) => each.tokensPerSecond));
  const firsts = rounds.flatMap((each) => each.firsts);
  const between = rounds.flatMap((each) => each.between);
  return {
    streams,
    tokensPerSecond,
    spread,
    firstTokenMs: at(firsts, 0.5),
    firstTokenP90Ms: at(firsts, 0.9),
    betweenMs: at(between, 0.5),
    betweenP99Ms: at(between, 0.99),
  };
}
