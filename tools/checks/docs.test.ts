// Every code block and command of the guides runs, in the order of the page, in a folder of its own; every link within the
// documentation leads somewhere. A block with a file's name (```yaml [run.yaml]) is written as that file.
// What cannot be run here is listed, with the reason; a command that is neither run nor listed fails.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repositoryFiles, root } from './workspace.js';

const pages = repositoryFiles.filter((file) => /^docs\/(index|papers|(start|guides)\/[\w-]+)\.md$/.test(file));
const linked = repositoryFiles.filter((file) => /^(docs\/.*|[A-Z]+|(packages|apps)\/[^/]+\/README)\.md$/.test(file));

const elsewhere: readonly { readonly command: RegExp; readonly reason: string }[] = [
  { command: /^npm install relufy$/, reason: 'packed.test.ts installs the packed tarballs' },
  { command: /^npx relufy chat$/, reason: "a conversation: apps/chat's tests hold it" },
  { command: /^relufy chat HuggingFaceTB\/\S+$/, reason: 'downloads a model: hub.test.ts has a hub of its own' },
];

/** Guides run with RELUFY_DOCS_TESTS=all: every change need not wait for them. */
const allGuides = process.env.RELUFY_DOCS_TESTS === 'all';

interface Block {
  readonly language: string;
  readonly file: string | undefined;
  readonly text: string;
}

function blocksOf(page: string): readonly Block[] {
  const found = readFileSync(root + page, 'utf8').matchAll(/^```(\w+)(?: \[([^\]]+)\])?\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language = '', file, text = '']) => ({ language, file, text }));
}

/** The lines of a shell block, without comments; a line that ends in `\` goes on in the next. */
function commandsOf(text: string): readonly string[] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

const isElsewhere = (command: string): boolean => elsewhere.some((one) => one.command.test(command));
const story =
  'Once upon a time, there was a little fox. He liked to run in the forest. One day, he met a small bear. The bear was sad because it had lost its ball. The fox said, "Let us look for it." They looked under a tree and found it. '.repeat(
    6,
  );

const run = promisify(execFile);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where a reader of the page would be: relufy is installed, and there is a text and a question. */
function readersFolder(page: string): string {
  const at = join(folder, page.replaceAll('/', '-'));
  mkdirSync(join(at, 'node_modules'), { recursive: true });
  symlinkSync(`${root}packages/relufy`, join(at, 'node_modules', 'relufy'), 'junction');
  // what npm installs beside it
  symlinkSync(`${root}packages/relufy/node_modules/@relufy`, join(at, 'node_modules', '@relufy'), 'junction');
  writeFileSync(join(at, 'story.txt'), story);
  writeFileSync(join(at, 'question.txt'), 'Tell me a story about a fox.\n');
  return at;
}

describe.each(pages.filter((page) => blocksOf(page).length > 0))('%s', (page) => {
  test('every block is of a language that is run, read or written to a file', () => {
    const unknown = blocksOf(page).filter(({ language, file }) => !['js', 'sh'].includes(language) && !file);
    expect(unknown).toEqual([]);
    const commands = blocksOf(page).flatMap(({ language, text }) => (language === 'sh' ? commandsOf(text) : []));
    expect(commands.filter((command) => !/^relufy /.test(command) && !isElsewhere(command))).toEqual([]);
  });

  const isRun = !page.startsWith('docs/guides/') || allGuides;
  const title = `every block runs${isRun ? '' : ' (skipped: RELUFY_DOCS_TESTS=all runs it)'}`;
  test.skipIf(!isRun)(title, { timeout: 120_000 }, async () => {
    const cwd = readersFolder(page);
    for (const [index, { language, file, text }] of blocksOf(page).entries()) {
      if (file !== undefined) writeFileSync(join(cwd, file), text);
      else if (language === 'js') {
        writeFileSync(join(cwd, `block-${index}.mjs`), text);
        await run(process.execPath, [`block-${index}.mjs`], { cwd });
      } else
        for (const command of commandsOf(text).filter((line) => !isElsewhere(line))) {
          const words = `node ${JSON.stringify(`${root}packages/relufy/dist/cli.js`)} ${command.replace(/^relufy /, '')}`;
          const { code, stderr } = await run('sh', ['-c', words], { cwd, env: { ...process.env, NO_COLOR: '1' } }).then(
            () => ({ code: 0, stderr: '' }),
            (error: { code: number; stderr: string }) => error,
          );
          expect(code, `${page}: ${command}\n${stderr}`).toBe(0);
        }
    }
  });
});

test('every link within the documentation leads to a file', () => {
  const lost = linked.flatMap((page) => {
    const text = readFileSync(root + page, 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target.replace(/#.*$/, ''));
    return links
      .filter((target) => target !== '' && !/^(https?:|mailto:)/.test(target))
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`);
  });
  expect(lost).toEqual([]);
});
