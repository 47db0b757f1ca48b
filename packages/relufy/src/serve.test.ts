import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

test('serves until SIGTERM, lets the last answer end, and tells no key', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'relufy-serve-'));
  await writeFile(join(folder, 'keys.txt'), 'secret-2\n\n');
  await writeFile(join(folder, 'index.html'), '<p>A page</p>');
  const args = ['serve', 'tales=llama-tales', '--port', '0', '--threads', '1', '--slots', '2', '--web', folder];
  let last: Promise<string> | undefined;
  const { code, stderr } = await runCli(
    [...args, '--api-key', 'secret-1', '--api-key-file', join(folder, 'keys.txt')],
    {
      whileRunning: (child) => {
        let said = '';
        let isHeard = false;
        child.stderr?.on('data', async (text) => {
          said += text;
          const url = /Listening on (\S+)/.exec(said)?.[1];
          if (isHeard || url === undefined || !said.includes('model: ready')) return;
          isHeard = true;
          expect((await fetch(`${url}/v1/models`)).status).toBe(401);
          expect(await (await fetch(`${url}/`)).text()).toBe('<p>A page</p>');
          const headers = { authorization: 'Bearer secret-2' };
          const models = await (await fetch(`${url}/v1/models`, { headers })).json();
          expect(models).toMatchObject({
            data: [{ id: 'tales', aliases: ['llama-tales'], status: { value: 'loaded' } }],
          });
          const asked = {
            messages: [{ role: 'user', content: 'A fox' }],
            max_tokens: 60,
            stream: true,
            ignore_eos: true,
          };
          const response = await fetch(`${url}/v1/chat/completions`, {
            method: 'POST',
            headers,
            body: JSON.stringify(asked),
          });
          last = response.text();
          child.kill('SIGTERM');
        });
      },
    },
  );
  expect(await last).toMatch(/\[DONE\]\n\n$/);
  expect(code).toBe(0);
  expect(stderr).not.toMatch(/secret|A fox/);
  await rm(folder, { recursive: true });
});

test.each([
  [['serve'], 2, /missing required argument 'models'/],
  [['serve', 'llama-tales', '--port', '70000'], 2, /--port: expected a port from 0 to 65535, got "70000"/],
  [['serve', 'llama-tales', '--keep-alive', 'soon'], 2, /--keep-alive: expected a time such as 30s or 5m, got "soon"/],
  [['serve', 'llama-tales', '--memory', 'much'], 2, /--memory: expected a size such as 512MiB, got "much"/],
  [['serve', 'llama-tales', '--web', './nowhere'], 2, /--web: expected a folder, got ".\/nowhere"/],
  [['serve', 'llama-tales', 'llama-tales'], 2, /expected names that differ, got "llama-tales" twice/],
  [['serve', 'llama-tales', '--api-key', ''], 2, /--api-key: expected a key, got an empty text/],
  [['serve', 'nothing-of-that-name'], 1, /expected "llama-tales"/],
  [['serve', 'llama-tales', '--batches', 'http://x'], 1, /expected a Redis or Valkey server, got another address/],
])('%j is refused', async (args, code, message) => {
  const result = await runCli(args);
  expect(result.stderr).toMatch(message);
  expect(result.code).toBe(code);
});
