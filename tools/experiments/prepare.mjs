// The text and the tokenizer that all runs share, made once from ../shared/data into the folder of runs: stories one
// behind the other with a separator between them, and a byte-level BPE of our own. The text stays outside the repository.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { trainTokenizer } from '@relufy/train';

const separator = '<|endoftext|>';

/** The first stories, together as long as that; every other one a tale. */
function heldOut(stories, tales, characters) {
  const chosen = [];
  for (let i = 0, left = characters; left > 0; i++) {
    const next = [stories[i], tales[i]].filter((text) => text !== undefined);
    if (next.length === 0) break;
    chosen.push(...next);
    left -= next.join('').length;
  }
  return chosen;
}

/** Typed as on a keyboard: a small vocabulary has no room for several kinds of quotes. */
const plain = (text) =>
  text.replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"').replaceAll(/[–—]/g, '-').replaceAll('\r', '').trim();

/**
 * @param {{ folder: string, shared: string, text: import('./plan.mjs').Plan['text'], log: (line: string) => void }} options
 */
export async function prepare({ folder, shared, text, log }) {
  const files = ['data/train.txt', 'data/held-out.txt', 'tokenizer/tokenizer_config.json'];
  if (files.every((file) => existsSync(join(folder, file)))) return;
  const read = async (file) => {
    const bytes = await readFile(join(shared, 'data', file)).catch(() => {
      throw new Error(`${join(shared, 'data', file)}: expected the training text, got none. Give --shared FOLDER.`);
    });
    return (file.endsWith('.gz') ? await promisify(gunzip)(bytes) : bytes).toString('utf8');
  };
  const talesIn = (lines) =>
    lines
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
      .filter(({ kind }) => text.kinds.includes(kind))
      .map(({ answer }) => plain(answer));
  const storiesIn = (whole) =>
    whole
      .split(separator)
      .map(plain)
      .filter((story) => story !== '');
  const train = [
    ...storiesIn(await read('tinystories/combined_train_cased.txt.gz')),
    ...talesIn(await read('tales/train.jsonl.gz')),
  ];
  // the held-out stories have no separators; a story begins as nearly all of them do
  const valid = (await read('tinystories/moe_tinystories_val.txt'))
    .split(/\n\n(?=Once upon a time)/)
    .map(plain)
    .slice(1);
  const held = heldOut(valid, talesIn(await read('tales/valid.jsonl')), text.heldOutCharacters);
  log(`${train.length} texts to train on, ${held.length} held out; training a tokenizer of ${text.vocabSize}`);
  const tokenizer = await trainTokenizer(train, { vocabSize: text.vocabSize, specialTokens: [separator] });
  const written = {
    'data/train.txt': train.join(separator),
    'data/held-out.txt': held.join(separator),
    'tokenizer/tokenizer.json': JSON.stringify(tokenizer),
    'tokenizer/tokenizer_config.json': JSON.stringify({ eos_token: separator, clean_up_tokenization_spaces: false }),
  };
  for (const [file, content] of Object.entries(written)) {
    const path = join(folder, file);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(`${path}.tmp`, content);
    await rename(`${path}.tmp`, path);
  }
}
