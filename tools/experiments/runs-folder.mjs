// Models and texts as the files of experiments name them: `runs/...` lies in the folder of runs, the rest where texts.mjs
// says. Does not own what is trained there (run.mjs).
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { placeOf, textOf } from '../measuring/texts.mjs';

const prefix = 'runs/';

/** @param {string} runs the folder */
export function namesWithin(runs) {
  const isRun = (name) => name.startsWith(prefix);
  const at = (name) => resolve(runs, name.slice(prefix.length));
  return {
    /** @param {{ source: string }} model */
    sourceOf: ({ source }) => (isRun(source) ? at(source) : placeOf(source)),
    /** @param {{ file: string, characters?: number }} text */
    readText: (text) =>
      isRun(text.file) ? readFileSync(at(text.file), 'utf8').slice(0, text.characters) : textOf(text),
  };
}
