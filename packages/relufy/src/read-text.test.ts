// Byte order marks and UTF-16, as Windows writes them, before whatever a command reads; and bytes that are no text.
import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { cliPath } from './testing/run-cli.js';

const utf16 = (text: string) => Buffer.from(text, 'utf16le');
const mark = '\ufeff';

function run(args: readonly string[], input: Buffer): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [cliPath, ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part) => {
    stdout += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part) => {
    stderr += part;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

describe('commands', () => {
  const options = ['--max-new-tokens', '8', '--temperature', '0'];
  const generate = ['generate', ...options, '--prompt', '-'];

  test('take a prompt, messages and lines of a chat in all of them', async () => {
    const plain = 'Once upon a time';
    const messages = JSON.stringify([{ role: 'user', content: 'Tell me a story about a fox.' }]);
    const lines = '/set temperature 0\nTell me a story.\n';
    for (const [args, said] of [
      [generate, plain],
      [[...generate, '--messages'], messages],
      [['chat', ...options], lines],
    ] as const) {
      const [expected, ...others] = await Promise.all(
        [Buffer.from(said), Buffer.from(mark + said), utf16(mark + said)].map((bytes) => run(args, bytes)),
      );
      expect(expected?.code).toBe(0);
      expect(expected?.stdout.length).toBeGreaterThan(10);
      for (const other of others) expect(other).toEqual(expected);
    }
    const typed = ['generate', ...options, '--prompt'];
    const none = Buffer.alloc(0);
    expect(await run([...typed, mark + plain], none)).toEqual(await run([...typed, plain], none));
  }, 60_000);

  test('refuse other bytes', async () => {
    const latin1 = Buffer.from('Es war einmal ein Bär', 'latin1');
    for (const args of [generate, ['chat', ...options]]) {
      const { code, stderr } = await run(args, latin1);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^standard input: expected text in UTF-8 or UTF-16, got other bytes\. Save it as UTF-8\.\n$/,
      );
    }
  });
});
