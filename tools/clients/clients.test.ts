// Clients as their users install them, against `relufy serve` with the bundled model, as a process of its own. Where they are
// not installed (README.md), a client is skipped by name.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';

const folder = `${root}tools/clients`;
const isInstalled = existsSync(`${folder}/node_modules/openai`);
const redisServer = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
const clients = ['openai', 'ollama', 'ai sdk', 'langchain', ...(redisServer ? ['openai batches'] : [])];

if (!isInstalled) test.skip('clients of relufy serve (skipped: npm --prefix tools/clients ci)', () => {});

// one skipped test, not one a client
const whereInstalled = isInstalled ? describe : undefined;
whereInstalled?.('clients of relufy serve', () => {
  let server: ChildProcess;
  let redis: ChildProcess | undefined;
  let url: string;

  beforeAll(async () => {
    const command = [`${root}packages/relufy/dist/cli.js`, 'serve', 'llama-tales', '--port', '0', '--threads', '1'];
    if (redisServer) {
      const port = await freePort();
      redis = spawn(redisServer, ['--port', String(port), '--save', ''], { stdio: ['ignore', 'pipe', 'ignore'] });
      await new Promise<void>((resolve) =>
        redis?.stdout?.on('data', (text) => /Ready to accept/.test(text) && resolve()),
      );
      command.push('--batches', `redis://127.0.0.1:${port}`);
    }
    server = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    url = await new Promise((resolve, reject) => {
      server.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const found = /Listening on (\S+)/.exec(said)?.[1];
        if (found !== undefined && said.includes('model: ready')) resolve(found);
      });
      server.on('exit', () => reject(new Error(said)));
    });
  });
  afterAll(() => {
    server.kill('SIGKILL');
    redis?.kill('SIGKILL');
  });

  test.each(clients)('%s', { timeout: 60_000 }, (client) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${folder}/run.mjs`, url, client], {
      encoding: 'utf8',
      timeout: 50_000,
    });
    expect(`${status}\n${stdout}${stderr}`).toMatch(/^0\n/);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
