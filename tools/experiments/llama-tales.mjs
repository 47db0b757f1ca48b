// Trains the bundled model as llama-tales.yaml says, or goes on with it: `node tools/experiments/llama-tales.mjs
// [--variant sister] [--runs FOLDER] [--shared FOLDER] [further options of relufy train]`. Makes its data and tokenizer
// first, once. A variant is the same run but for what llama-tales-VARIANT.yaml says, key by key.
// Owns which texts go into which source, and prompts for stories that have none. Does not own the run.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { writeAll } from './prepare.mjs';
import { stories, tales } from './shared-texts.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

const kinds = {
  children: ['child'],
  stories: ['bedtime', 'stories', 'campfire', 'slice-of-life', 'food-stories'],
  short: ['song-poems', 'jokes', 'eli5', 'explanations', 'common-sense', 'howto'],
};

const asked = [
  'Tell me a story.',
  'Tell me a short story.',
  'Write a short story for a child.',
  'Please tell me a little story.',
  'Tell me a bedtime story.',
];

const subjects =
  /\b(dog|cat|fox|bear|bird|bunny|rabbit|frog|fish|mouse|boy|girl|tree|flower|ball|car|boat|train|dragon|princess|king|queen|lion|elephant|monkey|duck|cow|horse|pig|sheep|moon|star|sun|rain|snow|park|beach|forest|garden|farm|house|cake|apple|toy|doll|robot|pirate|castle|wizard|fairy|owl|turtle|bee|butterfly|puppy|kitten|grandma|mom|dad|friend)\b/g;

/** A prompt for a story, every other one naming what it is about: the subject that it names most. */
function promptFor(story, index) {
  const plainly = asked[index % asked.length];
  const counts = new Map();
  for (const [word] of story.toLowerCase().matchAll(subjects)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  if (most === undefined || index % 2 === 0) return plainly;
  return plainly.replace(/ story/, ` story about ${/^[aeiou]/.test(most) ? 'an' : 'a'} ${most}`);
}

const asLines = (pairs) => pairs.map((pair) => `${JSON.stringify(pair)}\n`).join('');

async function prepareTales(folder, shared) {
  if (existsSync(join(folder, 'tokenizer/tokenizer_config.json'))) return;
  const all = Object.values(kinds).flat();
  const tokenizer = (file) => readFileSync(join(shared, 'models/llama-tales', file), 'utf8');
  const simple = (await stories(shared)).filter(({ length }) => length > 80);
  await writeAll(folder, {
    'data/simple.jsonl': asLines(simple.map((answer, i) => ({ prompt: promptFor(answer, i), answer }))),
    'data/children.jsonl': asLines(await tales(shared, 'train.jsonl.gz', kinds.children)),
    'data/stories.jsonl': asLines(await tales(shared, 'train.jsonl.gz', kinds.stories)),
    'data/short.jsonl': asLines(await tales(shared, 'train.jsonl.gz', kinds.short)),
    'data/valid.jsonl': asLines(await tales(shared, 'valid.jsonl', all)),
    'tokenizer/tokenizer.json': tokenizer('tokenizer.json'),
    'tokenizer/tokenizer_config.json': tokenizer('tokenizer_config.json'),
  });
}

/** Takes an option with its value out of the arguments. */
function take(args, name) {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}

const isMapping = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `values` with what `changes` says instead, key by key. */
function changed(values, changes) {
  const merged = { ...values };
  for (const [key, value] of Object.entries(changes))
    merged[key] = isMapping(value) && isMapping(values[key]) ? changed(values[key], value) : value;
  return merged;
}

const readYaml = (name) => parse(readFileSync(new URL(`${name}.yaml`, import.meta.url), 'utf8'));

const args = process.argv.slice(2);
const runs = resolve(take(args, '--runs') ?? join(root, 'build/experiments'));
const shared = resolve(take(args, '--shared') ?? join(root, '../shared'));
const variant = take(args, '--variant');
const name = variant === undefined ? 'llama-tales' : `llama-tales-${variant}`;
await prepareTales(join(runs, 'llama-tales'), shared);
const config = changed(readYaml('llama-tales'), variant === undefined ? {} : readYaml(name));
await writeAll(runs, { [`${name}.yaml`]: stringify(config) });
const command = [join(root, 'packages/relufy/dist/cli.js'), 'train', '--config', join(runs, `${name}.yaml`), ...args];
const { status, signal } = spawnSync(process.execPath, command, { stdio: 'inherit' });
process.exitCode = signal ? 1 : (status ?? 1);
