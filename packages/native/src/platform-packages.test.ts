// The packages with a binary are those that targets.mjs describes, and each is an optional dependency. That the same
// sources give the same bytes takes minutes to see: `package:native --twice`.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { platformName } from '../dist/platform.js';
import { sourceHash } from '../scripts/compile.mjs';
import { describedPackages } from '../scripts/describe-packages.mjs';
import { targets } from '../scripts/targets.mjs';
import { tried } from '../scripts/tried.mjs';

const folder = fileURLToPath(new URL('../', import.meta.url));

it('each has the manifest and the README that targets.mjs describes (else: describe:packages)', () => {
  for (const [file, text] of describedPackages()) expect(readFileSync(folder + file, 'utf8'), file).toBe(text);
  expect(readdirSync(`${folder}npm`).sort()).toEqual(Object.keys(targets).sort());
  expect(Object.keys(tried)).toEqual(Object.keys(targets));
});

it('saying what was tried leaves the binary that was tried a binary of these sources', () => {
  expect(sourceHash.toString()).not.toContain('tried.mjs');
  for (const target of Object.values(targets)) expect(target).not.toHaveProperty('tried');
});

it('each is an optional dependency, and this platform is among them', () => {
  const { optionalDependencies } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'));
  const names = Object.keys(targets).map((name) => `@relufy/native-${name}`);
  expect(Object.keys(optionalDependencies).sort()).toEqual(names.sort());
  expect(names).toContain(`@relufy/native-${platformName}`);
});
