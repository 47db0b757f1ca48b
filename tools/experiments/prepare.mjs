// The text and the tokenizer that all runs share, made once into the folder of runs: stories one after the other with a
// separator between them, and a byte-level BPE of our own. Does not own reading ../shared (shared-texts.mjs).
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { trainTokenizer } from '@relufy/train';
import { heldOutStories, separator, stories, tales } from './shared-texts.mjs';

/** The first stories, together as long as that; every other one a tale. */
function heldOut(first, second, characters) {
  const chosen = [];
  for (let i = 0, left = characters; left > 0; i++) {
    const next = [first[i], second[i]].filter((text) => text !== undefined);
    if (next.length === 0) break;
    chosen.push(...next);
    left -= next.join('').length;
  }
  return chosen;
}

/**
 * @param {{ folder: string, shared: string, text: import('./plan.mjs').Plan['text'], log: (line: string) => void }} options
 */
export async function prepare({ folder, shared, text, log }) {
  const files = ['data/train.txt', 'data/held-out.txt', 'tokenizer/tokenizer_config.json'];
  if (files.every((file) => existsSync(join(folder, file)))) return;
  const answers = async (file) => (await tales(shared, file, text.kinds)).map(({ answer }) => answer);
  const train = [...(await stories(shared)), ...(await answers('train.jsonl.gz'))];
  const held = heldOut(await heldOutStories(shared), await answers('valid.jsonl'), text.heldOutCharacters);
  log(`${train.length} texts to train on, ${held.length} held out; training a tokenizer of ${text.vocabSize}`);
  const tokenizer = await trainTokenizer(train, { vocabSize: text.vocabSize, specialTokens: [separator] });
  await writeAll(folder, {
    'data/train.txt': train.join(separator),
    'data/held-out.txt': held.join(separator),
    'tokenizer/tokenizer.json': JSON.stringify(tokenizer),
    'tokenizer/tokenizer_config.json': JSON.stringify({ eos_token: separator, clean_up_tokenization_spaces: false }),
  });
}

/** Each whole or not at all. @param {string} folder @param {Readonly<Record<string, string>>} files */
export async function writeAll(folder, files) {
  for (const [file, content] of Object.entries(files)) {
    const path = join(folder, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.tmp`, content);
    await rename(`${path}.tmp`, path);
  }
}
