// Byte order marks and UTF-16, as Windows writes them, before whatever a command reads; and bytes that are no text.
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { decodeText, decodeWhole } from './read-text.js';
import { cliPath } from './testing/run-cli.js';

const utf16 = (text: string, big = false) => {
  const bytes = Buffer.from(text, 'utf16le');
  return big ? bytes.swap16() : bytes;
};
const mark = '\ufeff';
const text = 'Grüße aus 東京 🦊\r\nund mehr';

const encoded: readonly (readonly [string, Buffer])[] = [
  ['UTF-8', Buffer.from(text)],
  ['UTF-8 with a mark', Buffer.from(mark + text)],
  ['UTF-16 LE with a mark', utf16(mark + text)],
  ['UTF-16 BE with a mark', utf16(mark + text, true)],
  ['UTF-16 LE', utf16(text)],
  ['UTF-16 BE', utf16(text, true)],
];

describe('decodeText', () => {
  test.each(encoded)('reads %s, in pieces of any size', async (_, bytes) => {
    expect(await decodeWhole('x', [bytes])).toBe(text);
    for (const size of [1, 2, 3, 5]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(await decodeWhole('x', pieces)).toBe(text);
    }
  });

  test('reads short texts', async () => {
    for (const short of ['', 'a', 'ab', 'é', '🦊']) expect(await decodeWhole('x', [Buffer.from(short)])).toBe(short);
    expect(await decodeWhole('x', [Buffer.from(mark)])).toBe('');
    expect(await decodeWhole('x', [utf16(`${mark}a`)])).toBe('a');
    expect(await decodeWhole('x', [])).toBe('');
    const parts: string[] = [];
    for await (const part of decodeText('x', Readable.from([Buffer.from('abcd'), Buffer.from('e')]))) parts.push(part);
    expect(parts.join('')).toBe('abcde');
  });

  test.each([
    ['Latin-1', Buffer.from('Grüße', 'latin1')],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])],
    ['a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a])],
    ['half a letter', Buffer.from('ü').subarray(0, 1)],
    ['half a unit', utf16(`${mark}ab`).subarray(0, 5)],
  ])('refuses %s in one sentence', async (_, bytes) => {
    await expect(decodeWhole('standard input', [bytes])).rejects.toThrowError(
      'standard input: expected text in UTF-8 or UTF-16, got other bytes. Save it as UTF-8.',
    );
  });
});

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
