// Links that somebody put into a shared cache are never written through.
import { link, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { messageOf } from '../../../testing/craft.js';
import { commit, sha256 } from '../../../testing/fake-hub.js';
import { cacheDir, load, root, useFakeHub, weights } from '../../../testing/hub-setup.js';

useFakeHub();

let victim: string;
beforeEach(async () => {
  victim = await mkdtemp(join(tmpdir(), 'relufy-victim-'));
  await writeFile(join(victim, 'file'), 'mine');
});
afterEach(() => rm(victim, { recursive: true }));
const untouched = async () => {
  expect(await readdir(victim)).toEqual(['file']);
  expect(await readFile(join(victim, 'file'), 'utf8')).toBe('mine');
};

const blob = (): string => join(root(), 'blobs', sha256(weights));

for (const [name, make] of [
  ['a link', (target: string, path: string) => symlink(target, path)],
  ['a second name', (target: string, path: string) => link(target, path)],
] as const)
  it(`${name} in the place of a file is replaced, and the model loads`, async () => {
    for (const path of [
      () => `${blob()}.relufy.incomplete`,
      blob,
      () => join(root(), 'refs', 'main'),
      () => join(root(), 'snapshots', commit, 'config.json'),
      () => join(root(), 'snapshots', commit, 'model.safetensors'),
    ]) {
      await rm(root(), { recursive: true, force: true });
      await mkdir(dirname(path()), { recursive: true });
      await make(join(victim, 'file'), path());
      await load();
      await untouched();
      expect((await readFile(blob())).equals(weights)).toBe(true);
      expect((await lstat(blob())).isFile()).toBe(true);
    }
  });

it('a link to nothing is not written through either', async () => {
  await mkdir(join(root(), 'blobs'), { recursive: true });
  await symlink(join(victim, 'new'), `${blob()}.relufy.incomplete`);
  await load();
  await untouched();
});

it('a link in the place of a folder is refused', async () => {
  for (const path of [
    () => root(),
    () => join(root(), 'blobs'),
    () => join(root(), 'refs'),
    () => join(root(), 'snapshots'),
    () => join(root(), 'snapshots', commit),
    () => join(cacheDir, '.locks'),
    () => join(cacheDir, '.locks', 'models--user--model'),
  ]) {
    await rm(root(), { recursive: true, force: true });
    await rm(join(cacheDir, '.locks'), { recursive: true, force: true });
    await mkdir(dirname(path()), { recursive: true });
    await symlink(victim, path());
    expect(await messageOf(() => load(), 'io')).toContain(`${path()}: expected a folder of the cache, got a link`);
    await untouched();
  }
});

it('the cache itself may be a link: its owner said where it is', async () => {
  const real = await mkdtemp(join(tmpdir(), 'relufy-real-'));
  await symlink(real, join(cacheDir, 'link'));
  await load({ cacheDir: join(cacheDir, 'link') });
  expect(await readdir(real)).toContain('models--user--model');
  await rm(real, { recursive: true });
});
