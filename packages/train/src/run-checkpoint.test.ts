// Checkpoints whose bytes have changed, in every way that bytes change: the run goes on from the one before and says so,
// ends with the bits of a run that nobody disturbed, or fails in one sentence that leaves what is there.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceBackend } from '@relufy/tensor';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseRunConfig, type RunEvent, runTraining } from './index.js';
import { type TinyRun, tinyRun } from './testing/tiny-run.js';

let tiny: TinyRun;
let finished: string;
let undisturbed: Buffer;
let folder: string;

beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-checkpoints-')));
  finished = join(tiny.folder, 'finished');
  await go(finished);
  undisturbed = model(finished);
});
afterAll(() => rmSync(tiny.folder, { recursive: true, force: true }));
beforeEach(() => {
  folder = join(tiny.folder, 'run');
  rmSync(folder, { recursive: true, force: true });
  cpSync(finished, folder, { recursive: true });
  rmSync(join(folder, 'model'), { recursive: true });
});

const model = (out: string): Buffer => readFileSync(join(out, 'model/model.safetensors'));
const at = (step: number, file = 'model.safetensors'): string => join(folder, `checkpoints/step-0000000${step}`, file);

/** Six steps, checkpoints at the third and the sixth. */
async function go(out: string, changes: Readonly<Record<string, unknown>> = {}): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  const options = { backend: createReferenceBackend(), onEvent: (event: RunEvent) => events.push(event) };
  await runTraining(parseRunConfig(tiny.config(out, changes)), options);
  return events;
}

const warnings = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []));
const resumedAt = (events: readonly RunEvent[]): number | undefined =>
  events.flatMap((event) => (event.kind === 'resumed' ? [event.step] : []))[0];

function flip(path: string, place: (length: number) => number): void {
  const bytes = readFileSync(path);
  const i = place(bytes.length);
  bytes[i] = (bytes[i] as number) ^ 1;
  writeFileSync(path, bytes);
}

describe('a checkpoint', () => {
  it('has checksums that sha256sum knows, and goes on without a word', async () => {
    const { status } = spawnSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: join(at(6), '..') });
    expect(status ?? 0).toBe(0);
    const events = await go(folder);
    expect(warnings(events)).toEqual([]);
    expect(resumedAt(events)).toBe(6);
    expect(model(folder).equals(undisturbed)).toBe(true);
  });

  it.each<[string, () => void, RegExp]>([
    [
      'a bit of a weight',
      () => flip(at(6), (length) => length - 5),
      /model\.safetensors: expected the SHA-256 [0-9a-f]{12}\.\.\., got/,
    ],
    ['a bit of the header', () => flip(at(6), () => 60), /model\.safetensors: expected the SHA-256/],
    [
      'a text in the header',
      () =>
        writeFileSync(
          at(6),
          Buffer.from(readFileSync(at(6), 'latin1').replace('\\"step\\":6', '\\"step\\":5'), 'latin1'),
        ),
      /expected the SHA-256/,
    ],
    ['a truncated file', () => truncateSync(at(6), 2000), /expected the SHA-256/],
    ['an empty file', () => truncateSync(at(6), 0), /expected the SHA-256/],
    ['a file that is gone', () => unlinkSync(at(6)), /expected the SHA-256 .*, got ENOENT/],
    ['bytes behind its end', () => writeFileSync(at(6), 'x', { flag: 'a' }), /expected the SHA-256/],
    ['another checkpoint in its place', () => cpSync(at(3), at(6)), /expected the SHA-256/],
    [
      'empty checksums',
      () => writeFileSync(at(6, 'SHA256SUMS'), ''),
      /SHA256SUMS: expected the checksum of model\.safetensors, got none/,
    ],
    [
      'checksums that are none',
      () => writeFileSync(at(6, 'SHA256SUMS'), '\0\0\0\n'),
      /SHA256SUMS: expected a checksum and a name a line/,
    ],
    [
      'checksums of a file elsewhere',
      () => writeFileSync(at(6, 'SHA256SUMS'), `${'0'.repeat(64)}  ../../run.json\n`),
      /expected a checksum and a name a line/,
    ],
    [
      'an empty folder',
      () => {
        for (const name of readdirSync(join(at(6), '..'))) unlinkSync(at(6, name));
      },
      /model\.safetensors/,
    ],
  ])('with %s is told, and the one before it taken', async (_, damage, reason) => {
    damage();
    const events = await go(folder);
    const [warning, ...others] = warnings(events);
    expect(warning).toMatch(reason);
    expect(warning).toMatch(
      /step-00000006: .* It was moved to .*damaged-step-00000006; the run goes on from .*step-00000003\.$/,
    );
    expect(others).toEqual([]);
    expect(resumedAt(events)).toBe(3);
    expect(model(folder).equals(undisturbed)).toBe(true);
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual([
      'damaged-step-00000006',
      'step-00000003',
      'step-00000006',
    ]);
  });

  it('that is damaged does not push out the whole ones that follow', async () => {
    flip(at(6), () => 5000);
    await go(folder, { checkpoint: { every: 4, keep: 1 } });
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['damaged-step-00000006', 'step-00000006']);
    expect(resumedAt(await go(folder))).toBe(6);
  });

  it('without another one is one error, and everything stays', async () => {
    flip(at(6), () => 5000);
    flip(at(3), () => 5000);
    await expect(go(folder)).rejects.toThrow(
      /step-00000006: expected a whole checkpoint, got a damaged one \(model\.safetensors: .*\), and no other that is whole\. Put a copy in its place, or remove .*checkpoints to begin anew\.$/,
    );
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003', 'step-00000006']);
  });

  it('that is damaged is an error where nobody listens', async () => {
    flip(at(6), () => 5000);
    const silent = runTraining(parseRunConfig(tiny.config(folder)), { backend: createReferenceBackend() });
    await expect(silent).rejects.toThrow(/step-00000006: .* Remove its folder to go on from .*step-00000003\.$/);
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003', 'step-00000006']);
  });

  it('without checksums, as earlier versions wrote them, is taken and told', async () => {
    unlinkSync(at(6, 'SHA256SUMS'));
    const events = await go(folder);
    expect(warnings(events)).toEqual([
      expect.stringMatching(/step-00000006: expected checksums beside it, got none\./),
    ]);
    expect(resumedAt(events)).toBe(6);
  });

  it('without checksums and with NaN in it is one error that names the array', async () => {
    unlinkSync(at(6, 'SHA256SUMS'));
    const bytes = readFileSync(at(6));
    bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
    writeFileSync(at(6), bytes);
    await expect(go(folder)).rejects.toThrow(/step-00000006 ".*": expected finite numbers, got NaN or infinity/);
  });

  it('without checksums and with an array of another type is one error that names it', async () => {
    unlinkSync(at(6, 'SHA256SUMS'));
    const text = readFileSync(at(6)).toString('latin1').replace('"F32"', '"I32"');
    writeFileSync(at(6), Buffer.from(text, 'latin1'));
    await expect(go(folder)).rejects.toThrow(/step-00000006.* ".*": expected F32, got I32\. /);
  });

  it.runIf(process.platform === 'linux')('whose checksums name a pipe is damaged, and nobody waits', async () => {
    spawnSync('mkfifo', [at(6, 'pipe')]);
    writeFileSync(at(6, 'SHA256SUMS'), `${'0'.repeat(64)}  pipe\n`, { flag: 'a' });
    expect(resumedAt(await go(folder))).toBe(3);
  });

  it('without checksums and cut off is damaged', async () => {
    unlinkSync(at(6, 'SHA256SUMS'));
    truncateSync(at(6), 2000);
    expect(resumedAt(await go(folder))).toBe(3);
  });
});

describe('a token file', () => {
  it.each<[string, (path: string) => void]>([
    ['changed', (path) => flip(path, (length) => length - 3)],
    ['cut off', (path) => truncateSync(path, 100)],
    ['gone', (path) => unlinkSync(path)],
  ])('that is %s is told, and made anew', async (_, damage) => {
    const [name = ''] = readdirSync(join(folder, 'tokens'));
    const path = join(folder, 'tokens', name, 'model.safetensors');
    const before = readFileSync(path);
    damage(path);
    rmSync(join(folder, 'checkpoints'), { recursive: true });
    const events = await go(folder);
    expect(warnings(events)).toEqual([
      expect.stringMatching(/tokens.*: expected the tokens that were written, got others/),
    ]);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(model(folder).equals(undisturbed)).toBe(true);
  });

  it('that is whole is read without a word', async () => {
    mkdirSync(join(folder, 'checkpoints'), { recursive: true });
    expect(warnings(await go(folder))).toEqual([]);
  });
});
