// Mixed traffic at full load for as long as wanted: chats, streams, clients that leave, bad and huge bodies, slow readers,
// many connections. Every answer has to be well-formed, and memory, heap and handles flat after the first quarter.
// `node apps/server/testing/soak.mjs [--minutes 60] [--clients 200]`. Prints a line every ten seconds; exit code 1 where
// something was not as it should be.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomOf } from './fuzz.mjs';

const options = { minutes: { type: 'string', default: '60' }, clients: { type: 'string', default: '200' } };
const { minutes, clients } = parseArgs({ options }).values;
const script = fileURLToPath(new URL('run-server.mjs', import.meta.url));
const server = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
const [line] = await once(server.stdout, 'data');
const url = String(line).trim();
const { port } = new URL(url);
const random = randomOf(7);
const counts = new Map();
const requests = () => [...counts.values()].reduce((sum, count) => sum + count, 0);
let askedAgain = 0;
const failures = [];
const end = performance.now() + Number(minutes) * 60_000;
let died = false;
server.on('exit', () => {
  died = true;
});

const messages = () => [
  {
    role: 'user',
    content: `Tell me a story about ${['a fox', 'rain', 'an owl', 'the sea'][Math.floor(random() * 4)]} ${Math.floor(random() * 1000)}.`,
  },
];

/** Asks again after a 408, as clients do: a connection that was opened and not used for 15 s may be closed as it is taken. */
async function post(path, body, init = {}) {
  const asked = { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...init };
  const response = await fetch(url + path, asked);
  if (response.status !== 408) return response;
  askedAgain++;
  await response.text();
  return fetch(url + path, asked);
}
const expectThat = (what, met) => {
  if (!met) failures.push(what);
};

/** What clients do, and how often. */
const deeds = [
  [
    5,
    'chat',
    async () => {
      const response = await post('/v1/chat/completions', {
        messages: messages(),
        max_tokens: 20,
        n: 1 + Math.floor(random() * 2),
      });
      const answer = await response.json();
      // one answer in a hundred thousand ends with its first token
      const isWhole = ({ message, finish_reason: reason }) => reason === 'stop' || message.content.length > 0;
      expectThat(
        `chat ${response.status} ${JSON.stringify(answer).slice(0, 500)}`,
        response.status === 429 || (response.status === 200 && answer.choices.every(isWhole)),
      );
      return response.status;
    },
  ],
  [
    5,
    'stream',
    async () => {
      const response = await post('/v1/chat/completions', { messages: messages(), max_tokens: 30, stream: true });
      const text = await response.text();
      expectThat(
        `stream ${response.status} ${text.slice(-200)}`,
        response.status === 429 || text.endsWith('data: [DONE]\n\n'),
      );
      for (const part of text.split('\n\n')) if (part.startsWith('data: {')) JSON.parse(part.slice(6));
      return response.status;
    },
  ],
  [
    3,
    'leave',
    async () => {
      const leaving = new AbortController();
      const asked = post(
        '/v1/chat/completions',
        { messages: messages(), max_tokens: 300, stream: random() < 0.5 },
        { signal: leaving.signal },
      );
      setTimeout(() => leaving.abort(), random() * 300);
      return asked
        .then(async (response) => {
          await response.text();
          return response.status;
        })
        .catch(() => 'left');
    },
  ],
  [
    2,
    'bad',
    async () => {
      const response = await post(
        '/v1/completions',
        ['{', '[]', '{"prompt":7}', '{"prompt":"x","n":-1}', ''][Math.floor(random() * 5)],
      );
      expectThat(
        `bad ${response.status}`,
        response.status === 400 && typeof (await response.json()).error.message === 'string',
      );
      return response.status;
    },
  ],
  [
    1,
    'huge',
    async () => {
      const response = await post('/v1/completions', `{"prompt":"${'x'.repeat(9 << 20)}"}`).catch(() => ({
        status: 'cut',
      }));
      expectThat(`huge ${response.status}`, [413, 'cut'].includes(response.status));
      return response.status;
    },
  ],
  [
    1,
    'slow reader',
    () =>
      new Promise((resolve) => {
        const body = JSON.stringify({ messages: messages(), max_tokens: 50, stream: true });
        const socket = connect(Number(port), '127.0.0.1', () =>
          socket.write(
            `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
          ),
        );
        socket.pause();
        const reading = setInterval(() => {
          socket.resume();
          setTimeout(() => socket.pause(), 5);
        }, 200);
        setTimeout(() => {
          clearInterval(reading);
          socket.destroy();
        }, 2000);
        socket.on('error', () => {}).on('close', () => resolve('slow'));
      }),
  ],
  [
    1,
    'idle connection',
    () =>
      new Promise((resolve) => {
        const socket = connect(Number(port), '127.0.0.1', () => socket.write('POST /v1/completions HT'));
        setTimeout(() => socket.destroy(), random() * 3000);
        socket.on('error', () => {}).on('close', () => resolve('idle'));
      }),
  ],
  [
    1,
    'others',
    async () => {
      const response = await post(['/v1/embeddings', '/api/chat', '/v1/responses'][Math.floor(random() * 3)], {
        input: 'a fox',
        messages: messages(),
        max_output_tokens: 5,
        options: { num_predict: 5 },
      });
      await response.text();
      expectThat(`others ${response.status}`, [200, 429].includes(response.status));
      return response.status;
    },
  ],
];
const weights = deeds.flatMap(([weight, name, deed]) => Array(weight).fill([name, deed]));

async function client() {
  while (performance.now() < end && !died) {
    const [name, deed] = weights[Math.floor(random() * weights.length)];
    const status = await deed().catch((error) => {
      if (!died) failures.push(`${name}: ${error}`);
      return 'failed';
    });
    const key = `${name} ${status}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (status === 429) await new Promise((resolve) => setTimeout(resolve, 200 + random() * 800));
  }
}

const samples = [];
async function sample() {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (name) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  const taken = {
    rss: of('relufy_process_resident_memory_bytes'),
    heap: of('relufy_nodejs_heap_size_used_bytes'),
    handles: of('relufy_nodejs_active_handles_total'),
  };
  samples.push(taken);
  console.log(
    `${Math.round((performance.now() - (end - Number(minutes) * 60_000)) / 1000)} s: ${requests()} requests, RSS ${Math.round(taken.rss / 2 ** 20)} MiB, heap ${Math.round(taken.heap / 2 ** 20)} MiB, ${taken.handles} handles, ${failures.length} failures`,
  );
}
const watching = setInterval(() => sample().catch((error) => failures.push(`metrics: ${error}`)), 10_000);
await Promise.all(Array.from({ length: Number(clients) }, client));
clearInterval(watching);
await new Promise((resolve) => setTimeout(resolve, 1500));
await sample();

const [first, last] = [
  samples.slice(Math.floor(samples.length / 4), Math.floor(samples.length / 2)),
  samples.slice(-Math.max(1, Math.floor(samples.length / 4))),
];
const least = (list, key) => Math.min(...list.map((each) => each[key]));
for (const [key, slack] of [
  ['rss', 100 << 20],
  ['heap', 50 << 20],
])
  expectThat(
    `${key} grew from ${least(first, key)} to ${least(last, key)}`,
    first.length === 0 || least(last, key) < least(first, key) + slack,
  );
// connections that clients keep for later are theirs
expectThat(`handles: ${samples.at(-1).handles}`, samples.at(-1).handles < Number(clients) + 30);
const metrics = await (await fetch(`${url}/metrics`)).text();
for (const name of ['requests_processing', 'requests_deferred'])
  expectThat(`${name} when all clients are gone`, new RegExp(`^relufy:${name}\\{.*\\} 0$`, 'm').test(metrics));
expectThat('the server ended', !died);
expectThat(`requests asked again: ${askedAgain}`, askedAgain < requests() / 1e4 + 1);
console.log(Object.fromEntries([...counts].sort()), `asked again: ${askedAgain}`);
for (const failure of failures.slice(0, 20)) console.log(`FAILED ${failure}`);
server.kill();
process.exit(failures.length > 0 ? 1 : 0);
