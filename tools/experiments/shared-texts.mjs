// The stories and tales of ../shared/data as plain strings, with the quotes and dashes of a keyboard: a small vocabulary
// has no room for several kinds. The text stays outside the repository. Does not own what is made of it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

export const separator = '<|endoftext|>';

/** @param {string} text */
const plain = (text) =>
  text.replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"').replaceAll(/[–—]/g, '-').replaceAll('\r', '').trim();

/** @param {string} shared @param {string} file */
async function read(shared, file) {
  const path = join(shared, 'data', file);
  const bytes = await readFile(path).catch(() => {
    throw new Error(`${path}: expected the training text, got none. Give --shared FOLDER.`);
  });
  return (file.endsWith('.gz') ? await promisify(gunzip)(bytes) : bytes).toString('utf8');
}

/**
 * Prompts and answers of some kinds.
 * @param {string} shared @param {'train.jsonl.gz' | 'valid.jsonl'} file @param {readonly string[]} kinds
 * @returns {Promise<{ prompt: string, answer: string }[]>}
 */
export async function tales(shared, file, kinds) {
  const lines = (await read(shared, `tales/${file}`)).split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ prompt, answer }) => ({ prompt: plain(prompt), answer: plain(answer) }));
}

/** @param {string} shared */
export async function stories(shared) {
  const whole = await read(shared, 'tinystories/combined_train_cased.txt.gz');
  return whole
    .split(separator)
    .map(plain)
    .filter((story) => story !== '');
}

/** Without separators: a story begins as nearly all of them do. @param {string} shared */
export async function heldOutStories(shared) {
  const whole = await read(shared, 'tinystories/moe_tinystories_val.txt');
  return whole
    .split(/\n\n(?=Once upon a time)/)
    .map(plain)
    .slice(1);
}
