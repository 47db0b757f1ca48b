// Rules for files: a header in each, no long one without its reason, no drawer names, nothing of one machine.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, extname } from 'node:path/posix';
import parseChangeset from '@changesets/parse';
import { parseSync } from 'rolldown/utils';
import { expect, test } from 'vitest';
import { packages, repositoryFiles, root } from './workspace.js';

const code = repositoryFiles.filter((file) => /^(packages|apps|tools)\/.*\.(tsx?|mjs|js)$/.test(file));
const read = (file: string): string => readFileSync(root + file, 'utf8');

/** The comments before the first statement. */
function header(file: string): string {
  return /^(?:#!.*\n)?((?:\s*(?:\/\/.*\n|\/\*[\s\S]*?\*\/))*)/.exec(read(file))?.[1]?.trim() ?? '';
}

/** An index.ts, or another entry, that holds re-exports and nothing else. */
const isIndex = (file: string): boolean =>
  parseSync(file, read(file)).program.body.every(
    (node) =>
      (node.type === 'ExportNamedDeclaration' && node.declaration === null) || node.type === 'ExportAllDeclaration',
  );

test('every source file opens with a comment: what it owns, and what it does not', () => {
  const sources = code.filter((file) => !/\.(test|config)\.ts$/.test(file));
  expect(sources.filter((file) => header(file) === '' && !isIndex(file))).toEqual([]);
});

test('no source file has more than 400 lines without "Longer than 400 lines because" in its header', () => {
  const long = code.filter(
    (file) => read(file).split('\n').length > 401 && !header(file).includes('Longer than 400 lines because'),
  );
  expect(long).toEqual([]);
});

test('no file or folder is a drawer: utils, helpers, manager, common, misc', () => {
  const drawer = /(^|[/.-])(utils?|helpers?|managers?|common|misc)([/.-]|$)/;
  expect(repositoryFiles.filter((file) => drawer.test(file))).toEqual([]);
});

test('no file holds a path of one machine, or the host of a package registry', () => {
  const places = [root, homedir()].filter((place) => place.length > 1).map((place) => `${place.replace(/\/$/, '')}/`);
  const patterns = [
    /(?<![\w.~])\/(home|Users)\/\w/,
    /[A-Z]:\\Users\\/,
    /https?:\/\/[^\s"'/]*(registry|artifactory|nexus|verdaccio)/,
  ];
  const text = new Set(['.ts', '.mjs', '.js', '.json', '.yaml', '.yml', '.md', '.toml', '.sh', '.py', '.html', '']);
  const found = repositoryFiles
    .filter((file) => text.has(extname(file)) && !file.endsWith('/tokenizer.json'))
    .flatMap((file) => {
      const content = read(file);
      const hits = [
        ...places.filter((place) => content.includes(place)),
        ...patterns.flatMap((pattern) => pattern.exec(content)?.[0] ?? []),
      ];
      return hits.map((hit) => `${file}: ${hit}`);
    });
  expect(found).toEqual([]);
});

/** Files of other projects that comments refer to, and what a build generates. */
const elsewhere =
  /^(llama\.cpp|src\/llama-vocab\.cpp|ggml\.h|Lib\/pickletools\.py|random\.py|gguf\/constants\.py|huggingface_hub\/.*|.*\bgenerated\/.*)$/;

test('files that comments name exist', () => {
  const known = repositoryFiles.map((file) => `/${file}`);
  const isKnown = (name: string): boolean =>
    known.some((path) => path.endsWith(`/${name.replace(/^(\.{1,2}\/)+/, '')}`));
  const sources = repositoryFiles.filter((file) => /^(packages|apps|tools)\/.*\.(tsx?|mjs|js|cpp|h|py)$/.test(file));
  const lost = sources.flatMap((file) => {
    const comments = read(file).match(/(?<!:)\/\/.*|\/\*[\s\S]*?\*\/|^\s*#(?!include).*/gm) ?? [];
    const names = comments.join('\n').match(/(?<![\w./@*{<-])[\w./-]*\w\.(tsx?|mjs|cpp|h|py)\b(?!\.?[\w/])/g) ?? [];
    return names.filter((name) => !elsewhere.test(name) && !isKnown(name)).map((name) => `${file}: ${name}`);
  });
  expect(lost).toEqual([]);
});

test('every package has a README: what it is, how to install it, lines that run, where to read on', () => {
  const wanted: readonly (readonly [string, RegExp])[] = [
    ['its name', /^# \S/],
    ['a sentence on what it is', /^# .*\n\n[A-Z]/],
    ['npm install', /npm install (relufy|@relufy\/)/],
    ['code', /^```(ts|js|tsx|sh)$/m],
    ['a link to the documentation', /\]\(\.\.\/\.\.\/(docs\/|ARCHITECTURE\.md)/],
  ];
  const lacking = packages.flatMap(({ folder }) => {
    const readme = read(`${folder}/README.md`);
    return wanted.filter(([, pattern]) => !pattern.test(readme)).map(([what]) => `${folder}: ${what}`);
  });
  expect(lacking).toEqual([]);
});

test('README.md has a line for every package', () => {
  const readme = read('README.md');
  expect(
    packages.filter(({ folder }) => !readme.includes(`\n  ${basename(folder)} `)).map(({ folder }) => folder),
  ).toEqual([]);
});

test("relufy's README has a line for every command", () => {
  const readme = read('packages/relufy/README.md');
  const commands = repositoryFiles.filter((file) =>
    /^packages\/relufy\/src\/commands\/[\w-]+(?<!\.test)\.ts$/.test(file),
  );
  expect(commands.length).toBeGreaterThan(5);
  const names = commands.map((file) => basename(file, '.ts')).filter((name) => name !== 'index');
  expect(names.filter((name) => !readme.includes(`\n| \`relufy ${name}`))).toEqual([]);
});

test('every changeset is one that the release reads, of packages that exist', () => {
  const names = packages.map(({ name }) => name);
  const changesets = repositoryFiles.filter((file) => /^\.changeset\/(?!README).*\.md$/.test(file));
  for (const file of changesets) {
    const { releases, summary } = parseChangeset(read(file));
    expect(
      releases.filter(({ name }) => !names.includes(name)),
      file,
    ).toEqual([]);
    expect(releases.length, file).toBeGreaterThan(0);
    expect(summary, file).not.toBe('');
  }
});
