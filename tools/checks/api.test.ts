// The public API in git (packages/NAME/api) is that of what was built, so that a change of it is seen in a diff; `pnpm api`
// renews it. Every run compares the names of each entry; RELUFY_API_TESTS=all compares the whole text, which takes
// API Extractor a second an entry. Does not judge a change.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { entries, reportOf } from '../api-reports/reports.mjs';
import { repositoryFiles, root } from './workspace.js';

const all = process.env.RELUFY_API_TESTS === 'all';

/** Names that declarations export, those of files that they export whole included. */
function namesOf(file: string): string[] {
  const { program } = parseSync(file, readFileSync(file, 'utf8'), { lang: 'dts' });
  return program.body.flatMap((node) => {
    if (node.type === 'ExportAllDeclaration') {
      if (node.exported !== null) return [nameOf(node.exported)];
      const from = node.source.value;
      if (!from.startsWith('.')) throw new Error(`${file}: expected names, got * of ${from}`);
      return namesOf(join(dirname(file), from.replace(/\.js$/, '.d.ts')));
    }
    if (node.type !== 'ExportNamedDeclaration') return [];
    const { declaration } = node;
    if (declaration === null) return node.specifiers.map(({ exported }) => nameOf(exported));
    if (declaration.type === 'VariableDeclaration') return declaration.declarations.map(({ id }) => nameOf(id));
    return [nameOf((declaration as { readonly id: unknown }).id)];
  });
}

const nameOf = (node: unknown): string => {
  const { name, value } = node as { readonly name?: string; readonly value?: string };
  return name ?? value ?? '';
};

/** Names that a report says are exported. */
function reported(text: string): string[] {
  return [
    ...text.matchAll(/^export (?:default |abstract |declare )*(?:class|const|function|interface|type|enum) (\w+)/gm),
    ...text.matchAll(/^declare namespace (\w+)/gm),
    ...text.matchAll(/^export \{ (?:\w+ as )?(\w+) \}/gm),
  ].map(([, name]) => name as string);
}

const sorted = (names: readonly string[]) => [...new Set(names)].sort();

describe('the public API in git', () => {
  test('has a report for every entry, and no other', () => {
    const reports = repositoryFiles.filter((file) => /^packages\/[^/]+\/api\/[\w-]+\.md$/.test(file));
    expect(sorted(reports)).toEqual(sorted(entries().map(({ file }) => file)));
  });

  test.each(entries())('$file has the names of what was built (else: pnpm api)', ({ file, types }) => {
    expect(existsSync(root + file)).toBe(true);
    expect(sorted(reported(readFileSync(root + file, 'utf8')))).toEqual(sorted(namesOf(root + types)));
  });

  test.skipIf(!all).each(entries())(
    `$file is what was built${all ? '' : ' (skipped: RELUFY_API_TESTS=all compares it)'}`,
    { timeout: 60_000 },
    (entry) => {
      expect(readFileSync(root + entry.file, 'utf8')).toBe(reportOf(entry));
    },
  );
});
