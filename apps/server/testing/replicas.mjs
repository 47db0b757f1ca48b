// Three replicas behind HAProxy with the rules of docs/deploy/haproxy.cfg, steady traffic, one of them killed with -9 in the
// middle. No request may be lost that had not begun to be answered; a stream that broke has to look broken to its client.
// `node apps/server/testing/replicas.mjs [--seconds 20]`; needs haproxy (apt-get install haproxy).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { seconds } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } }).values;
const script = fileURLToPath(new URL('run-server.mjs', import.meta.url));
const replicas = await Promise.all(
  [0, 1, 2].map(async () => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    return { child, url: String(line).trim() };
  }),
);
const port = await freePort();
const folder = mkdtempSync(join(tmpdir(), 'relufy-replicas-'));
const rules = readFileSync(new URL('../../../docs/deploy/haproxy.cfg', import.meta.url), 'utf8');
const servers = replicas.map(({ url }, i) => `    server replica${i} ${new URL(url).host}`).join('\n');
const config = rules
  .replace('bind :8080', `bind 127.0.0.1:${port}`)
  .replace(/^ {4}server-template .*$/m, servers)
  .replace(/^resolvers docker[\s\S]*$/m, '');
writeFileSync(join(folder, 'haproxy.cfg'), config);
const balancer = spawn('haproxy', ['-f', join(folder, 'haproxy.cfg'), '-db'], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
await new Promise((resolve) => setTimeout(resolve, 3000));

const counts = { whole: 0, streams: 0, broken: 0, lost: 0 };
const lost = [];
const end = performance.now() + Number(seconds) * 1000;

async function client(i) {
  const headers = { 'X-Conversation': `conversation ${i}`, 'Content-Type': 'application/json' };
  for (let n = 0; performance.now() < end; n++) {
    const stream = (i + n) % 2 === 0;
    const body = JSON.stringify({
      messages: [{ role: 'user', content: `Tell me story ${n} of ${i}.` }],
      max_tokens: 40,
      stream,
    });
    let begun = false;
    try {
      const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', headers, body });
      begun = response.status === 200;
      if (response.status === 429) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        continue;
      }
      if (!begun) throw new Error(`${response.status} ${await response.text()}`);
      const text = await response.text();
      if (stream && !text.endsWith('data: [DONE]\n\n')) counts.broken++;
      else {
        if (!stream) JSON.parse(text);
        counts[stream ? 'streams' : 'whole']++;
      }
    } catch (error) {
      if (begun && stream) counts.broken++;
      else {
        counts.lost++;
        lost.push(String(error.cause ?? error));
      }
    }
  }
}

/** Which replica has the conversations: each counts what it answered. */
async function answeredBy() {
  const each = [];
  for (const { url, child } of replicas) {
    if (child.exitCode !== null || child.signalCode !== null) each.push('gone');
    else
      each.push(
        /relufy:http_requests_total\{route="\/v1\/chat\/completions",status="200"\} (\d+)/.exec(
          await (await fetch(`${url}/metrics`)).text(),
        )?.[1] ?? '0',
      );
  }
  return each.join(', ');
}

const traffic = Promise.all(Array.from({ length: 12 }, (_, i) => client(i)));
await new Promise((resolve) => setTimeout(resolve, (Number(seconds) * 1000) / 2));
console.log(`answered by each replica: ${await answeredBy()}`);
replicas[1].child.kill('SIGKILL');
console.log('one is killed');
await traffic;
console.log(`answered by each replica: ${await answeredBy()}`);
console.log(counts, lost.slice(0, 5));
balancer.kill();
for (const { child } of replicas) child.kill();
const isFine = counts.lost === 0 && counts.whole > 10 && counts.streams > 10;
console.log(isFine ? 'no request was lost' : 'FAILED');
process.exit(isFine ? 0 : 1);

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
}
