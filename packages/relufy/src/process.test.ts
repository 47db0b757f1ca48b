// What this leaves in somebody else's process, and how a command's own ends: no handlers of a library, and a second Ctrl-C
// that ends a command whatever it does.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-process-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a library', () => {
  test('leaves no handler behind: imported, used, and disposed', async () => {
    const entry = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../${name}`, import.meta.url)));
    const script = `
      import { constants } from 'node:os';
      const events = [...Object.keys(constants.signals), 'exit', 'beforeExit', 'uncaughtException', 'unhandledRejection', 'warning'];
      const count = () => Object.fromEntries(events.map((name) => [name, process.listenerCount(name)]).filter(([, n]) => n > 0));
      const before = count();
      const { loadModel } = await import(${entry('relufy/dist/node.js')});
      for (const path of [${entry('checkpoint/dist/node.js')}, ${entry('train/dist/index.js')}, ${entry('sparsity/dist/index.js')}]) await import(path);
      const imported = count();
      for (const options of [{}, { backend: 'wasm', threads: 2 }]) {
        const model = await loadModel('llama-tales', options);
        await model.generate('Once', { maxNewTokens: 3 }).result;
        await model.dispose();
      }
      console.log(JSON.stringify({ before, imported, after: count() }));
    `;
    const file = join(folder, 'library.mjs');
    await writeFile(file, script);
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    const { before, imported, after } = JSON.parse(stdout);
    expect(imported).toEqual(before);
    expect(after).toEqual(before);
  });
});

describe('a command', () => {
  /** Runs before the command: its main thread then computes for ever, or its promise never settles. */
  const states = {
    busy: 'setTimeout(() => { process.stderr.write("stuck\\n"); for (;;); }, 1500)',
    hung: 'AbortSignal.prototype.addEventListener = () => {}; setTimeout(() => process.stderr.write("stuck\\n"), 1500); setInterval(() => {}, 1000)',
  };

  test.each([
    ['busy', 'SIGINT'],
    ['busy', 'SIGTERM'],
    ['hung', 'SIGINT'],
  ] as const)('that is %s ends at the second %s', async (state, signal) => {
    const preload = join(folder, `${state}.mjs`);
    await writeFile(
      preload,
      `import { isMainThread } from 'node:worker_threads';\nif (isMainThread) { ${states[state]} }`,
    );
    let first = 0;
    const { code, stderr } = await runCli(['chat', 'llama-tales'], {
      env: { NODE_OPTIONS: `--import=${pathToFileURL(preload)}` },
      whileRunning: (child) => {
        child.stderr?.once('data', () => {
          first = performance.now();
          child.kill(signal);
          setTimeout(() => child.kill(signal), 400);
        });
      },
    });
    expect(performance.now() - first).toBeLessThan(20_000);
    expect(first).toBeGreaterThan(0);
    // a main thread that hears it ends with the signal's code; one that does not is killed
    expect([null, 130, 143]).toContain(code);
    expect(stderr).toBe('stuck\n');
  });
});
