// Results of long measurements, line by line in a file of JSON: a command that was ended goes on where it was, since what a line
// holds is not measured again. Does not own what is measured, nor how it is shown.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @template Result
 * @param {string} file it and its folder are made with the first result
 * @param {(result: Result) => string} keyOf what a result is known by; of two the later one counts
 */
export function resultLines(file, keyOf) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  // the last line may be half written by a run that was killed
  const whole = lines.filter((line) => line.endsWith('}')).map((line) => /** @type {Result} */ (JSON.parse(line)));
  const known = new Map(whole.map((result) => [keyOf(result), result]));
  return {
    /** @type {ReadonlyMap<string, Result>} */
    known,
    /** @param {Result} result */
    keep(result) {
      known.set(keyOf(result), result);
      mkdirSync(dirname(file), { recursive: true });
      const cut = lines.length > 0 && lines.at(-1) !== '' ? '\n' : '';
      lines.length = 0;
      appendFileSync(file, `${cut}${JSON.stringify(result)}\n`);
    },
  };
}
