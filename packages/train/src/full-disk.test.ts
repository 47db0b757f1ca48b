// A disk that is really full: one clear error, the last good checkpoint stays, and with more room the run ends with the
// bits of one that never ran out. The disk is a small tmpfs in a mount namespace of its own.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createReferenceBackend } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseRunConfig, runTraining } from './index.js';
import { type TinyRun, tinyRun } from './testing/tiny-run.js';

const inNamespace = (script: string, ...values: string[]) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...values], { encoding: 'utf8' });

const canMount = inNamespace('mount -t tmpfs tmpfs /mnt').status === 0;
const suite = canMount ? 'a full disk' : 'a full disk (skipped: no tmpfs may be mounted here)';

describe.skipIf(!canMount)(suite, () => {
  let tiny: TinyRun;
  beforeAll(async () => {
    tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-full-')));
  });
  afterAll(() => rmSync(tiny.folder, { recursive: true, force: true }));

  it('stops a run with one error, loses nothing, and lets it go on', async () => {
    const disk = join(tiny.folder, 'disk');
    mkdirSync(disk);
    const changes = { steps: 9, checkpoint: { every: 3, keep: 2 } };
    const config = (out: string) => tiny.config(out, changes);
    // the child's backend: another one has other bits
    await runTraining(parseRunConfig(config(join(tiny.folder, 'whole'))), { backend: createReferenceBackend() });
    const file = join(tiny.folder, 'full.yaml');
    writeFileSync(file, stringify(config(join(disk, 'run'))));

    // a checkpoint has 105 KB: one fits beside the tokens, two do not
    const child = fileURLToPath(new URL('./testing/run-child.mjs', import.meta.url));
    const script = `
      mount -t tmpfs -o size=232k tmpfs "$1" || exit 90
      "$2" "$3" "$4" reference 2>&1 && exit 91
      (cd "$1/run/checkpoints" && find . -type f)
      mount -o remount,size=10m "$1" || exit 92
      "$2" "$3" "$4" reference || exit 93
      cp "$1/run/model/model.safetensors" "$5"`;
    const copy = join(tiny.folder, 'resumed.safetensors');
    const { status, stdout } = inNamespace(script, disk, process.execPath, child, file, copy);
    expect(stdout).toMatch(/RelufyError: .*: expected to write it, got ENOSPC\. The disk is full; free some space\./);
    expect(stdout.match(/RelufyError: /g)).toHaveLength(1);
    expect(status).toBe(0);
    expect(stdout).toContain('step 5');
    // what was written of the second is gone
    expect(stdout.match(/^\.\/.*/gm)?.sort()).toEqual([
      './step-00000003/SHA256SUMS',
      './step-00000003/model.safetensors',
    ]);
    expect(stdout).toContain('resumed');
    expect(readFileSync(copy).equals(readFileSync(join(tiny.folder, 'whole/model/model.safetensors')))).toBe(true);
  });
});
