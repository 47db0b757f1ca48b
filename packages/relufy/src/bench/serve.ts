// What a server gives to several people at once: streams of chats by 1 to 16 clients over HTTP, numbers of clients interleaved.
// Counts tokens a second of all, the time to the first one, and what a stream waits between two. Any server that
// speaks OpenAI's chat completions will do.
// Does not own starting one (serve-process.ts).
import { RelufyError, show } from '@relufy/tensor';
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

/** Where to ask: the URL of the server, with or without /v1. */
export interface Served {
  readonly url: string;
  readonly apiKey?: string;
  /** Default: the first one that it names. */
  readonly model?: string;
}

export interface ServeOptions {
  /** Of each stream. Default 64. */
  readonly tokens?: number;
  /** For each number of streams. Default 20. */
  readonly seconds?: number;
  /** At least. Default 3. */
  readonly rounds?: number;
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

/** @throws RelufyError `io` for a server that does not answer as one should. */
export async function benchServe(
  served: Served,
  counts: readonly number[],
  { tokens = 64, seconds = 20, rounds: least = 3 }: ServeOptions = {},
): Promise<readonly ServeResult[]> {
  const client = await connect(served);
  const rounds = new Map(counts.map((count) => [count, [] as Round[]]));
  for (const count of counts) await round(client, count, 8, 0);
  const end = performance.now() + seconds * 1000 * counts.length;
  for (let n = 1; n <= least || performance.now() < end; n++)
    for (const count of counts) rounds.get(count)?.push(await round(client, count, tokens, n));
  return [...rounds].map(([streams, all]) => resultOf(streams, all));
}

interface Client {
  readonly base: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function connect({ url, apiKey, model }: Served): Promise<Client> {
  const base = `${url.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1`;
  const headers = { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
  const response = await fetch(`${base}/models`, { headers }).catch((error: unknown) => {
    throw new RelufyError('io', `bench serve: expected a server at ${show(url)}, got none. Start \`relufy serve\`.`, {
      cause: error,
    });
  });
  const found = response.ok ? ((await response.json().catch(() => ({}))) as { data?: { id?: string }[] }) : {};
  const id = model ?? found.data?.[0]?.id;
  if (!response.ok || id === undefined)
    throw new RelufyError(
      'io',
      `bench serve: ${base}/models: expected a list of models, got status ${response.status}${response.status === 401 ? '. Give --api-key' : ''}.`,
    );
  return { base, model: id, headers };
}

interface Round {
  readonly tokensPerSecond: number;
  readonly firsts: readonly number[];
  readonly between: readonly number[];
}

async function round(client: Client, count: number, tokens: number, n: number): Promise<Round> {
  const start = performance.now();
  const streams = await Promise.all(Array.from({ length: count }, (_, i) => stream(client, tokens, i, n)));
  const spent = performance.now() - start;
  const heard = streams.reduce((sum, { heard: own }) => sum + own, 0);
  return {
    tokensPerSecond: (heard / spent) * 1000,
    firsts: streams.map(({ times: [first = spent] }) => first),
    between: streams.flatMap(({ times }) => times.slice(1).map((time, i) => time - (times[i] as number))),
  };
}

interface Heard {
  /** When each piece of text came, in ms after the request. */
  readonly times: readonly number[];
  /** Tokens, as the server counts them: some have no text. */
  readonly heard: number;
}

async function stream({ base, model, headers }: Client, tokens: number, client: number, n: number): Promise<Heard> {
  const start = performance.now();
  const content = `${n} ${client}: ${questions[(client + n) % questions.length]}`;
  const asked = { messages: [{ role: 'user', content }], max_tokens: tokens, ignore_eos: true, temperature: 0 };
  const body = JSON.stringify({ model, ...asked, stream: true, stream_options: { include_usage: true } });
  const response = await fetch(`${base}/chat/completions`, { method: 'POST', headers, body });
  if (!response.ok || response.body === null)
    throw new RelufyError(
      'io',
      `bench serve: ${base}/chat/completions: expected an answer, got status ${response.status}: ${show((await response.text()).slice(0, 200))}.`,
    );
  const times: number[] = [];
  let heard = 0;
  let rest = '';
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split('\n\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: {')) continue;
      const { choices = [], usage, error } = JSON.parse(line.slice(6)) as Chunk;
      if (error) throw new RelufyError('io', `bench serve: the answer broke off: ${show(error)}.`);
      if (choices.some(({ delta }) => delta?.content)) times.push(performance.now() - start);
      heard = usage?.completion_tokens ?? heard;
    }
  }
  return { times, heard: Math.max(heard, times.length) };
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: { readonly completion_tokens?: number } | null;
  readonly error?: unknown;
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
