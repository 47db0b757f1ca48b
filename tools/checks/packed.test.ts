// What users get: every public package packs, holds what it should, passes publint and type resolution; and a folder
// outside the workspace installs the tarballs with npm and writes the bundled model's story, from JavaScript and from
// TypeScript. The one check that asks the registry, for the dependencies of our packages.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { problemAffectsResolutionKind } from '@arethetypeswrong/core/problems';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxNewTokens, question, story } from '../testing/story.js';
import { installPacked, published, run } from './packed.js';
import { root } from './workspace.js';

let folder: string;
let tarballs: ReadonlyMap<string, string>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-packed-'));
  tarballs = installPacked(folder);
  cpSync(`${root}tools/checks/outside`, folder, { recursive: true });
}, 180_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(published)('packed $name', ({ name }) => {
  const installed = (): string => join(folder, 'node_modules', name);

  test('holds README.md, LICENSE, and no test', () => {
    const files = readdirSync(installed(), { recursive: true, encoding: 'utf8' });
    expect(
      ['README.md', 'LICENSE'].filter((file) => !files.includes(file)),
      'missing',
    ).toEqual([]);
    expect(files.filter((file) => /\.test\.|(^|\/)(testing|fixtures|node_modules)(\/|$)/.test(file))).toEqual([]);
  });

  test('is published for everyone, with provenance, and runs no script when it is installed', () => {
    const { publishConfig, scripts = {} } = JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8'));
    expect(publishConfig).toEqual({ access: 'public', provenance: true });
    expect(Object.keys(scripts).filter((name) => /install|^prepare/.test(name))).toEqual([]);
  });

  test('has source maps that lead to a packed file or carry their source', () => {
    const maps = readdirSync(installed(), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.map'),
    );
    const lost = maps.filter((file) => {
      const path = join(installed(), file);
      const { sources, sourcesContent } = JSON.parse(readFileSync(path, 'utf8'));
      return sources.some(
        (source: string, i: number) => !sourcesContent?.[i] && !existsSync(join(dirname(path), source)),
      );
    });
    expect(lost).toEqual([]);
  });

  test('passes publint', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed(), pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  test('resolves with its types, under node and bundlers', async () => {
    const analysis = await checkPackage(
      createPackageFromTarballData(new Uint8Array(readFileSync(tarballs.get(name) as string))),
    );
    if (!analysis.types) throw new Error(`${name}: expected types, found none.`);
    const problems = analysis.problems.filter((problem) =>
      (['node16-esm', 'bundler'] as const).some((kind) => problemAffectsResolutionKind(problem, kind, analysis)),
    );
    expect(problems).toEqual([]);
  });
});

describe('outside the workspace, from the tarballs', () => {
  const write = (script: string): string => run(process.execPath, [script, question, String(maxNewTokens)], folder);

  test('plain JavaScript writes the story', () => {
    expect(write('story.js')).toBe(story);
  });

  test.each(['nodenext', 'bundler'])(
    'TypeScript compiles under "moduleResolution": "%s", and writes it',
    (resolution) => {
      const outDir = `compiled-${resolution}`;
      mkdirSync(join(folder, outDir));
      const compilerOptions = {
        target: 'es2022',
        lib: ['es2022', 'esnext.disposable', 'dom', 'dom.asynciterable'],
        module: resolution === 'bundler' ? 'esnext' : 'nodenext',
        moduleResolution: resolution,
        strict: true,
        skipLibCheck: false,
        types: [],
        outDir,
      };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['story.ts'] }));
      run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '--project', 'tsconfig.json'], folder);
      expect(write(`${outDir}/story.js`)).toBe(story);
    },
  );

  test('the command runs', () => {
    expect(run(process.execPath, [join('node_modules', 'relufy', 'dist', 'cli.js'), '--version'], folder)).toMatch(
      /^\d+\.\d+\.\d+/,
    );
  });
});
