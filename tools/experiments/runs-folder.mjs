// An experiment on models that are there: its command line, its file (NAME.yaml), the results kept so far, its models and their
// texts. `runs/...` in a file lies in the folder of runs, the rest where texts.mjs says.
// Does not own what is trained there (run.mjs), nor what is measured.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openModelFiles, readTokenizer } from '@relufy/models';
import { parse } from 'yaml';
import { resultLines } from '../measuring/result-lines.mjs';
import { placeOf, root, textOf, windowsOf } from '../measuring/texts.mjs';

const prefix = 'runs/';

/** @param {string} name of its file, and of its results in the folder of runs */
export function openExperiment(name) {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: join(root, 'build/experiments') },
      models: { type: 'string' },
      threads: { type: 'string', default: '1' },
      report: { type: 'boolean', default: false },
    },
  });
  const run = parse(readFileSync(new URL(`${name}.yaml`, import.meta.url), 'utf8'));
  const lines = resultLines(join(values.runs, `${name}.jsonl`), ({ model, part }) => `${model} ${part}`);
  const within = (file) => (file.startsWith(prefix) ? resolve(values.runs, file.slice(prefix.length)) : undefined);
  const readText = (text) => {
    const file = within(text.file);
    return file === undefined ? textOf(text) : readFileSync(file, 'utf8').slice(0, text.characters);
  };
  return {
    run,
    lines,
    threads: Number(values.threads),
    reportOnly: values.report,
    /**
     * Models that were asked for, are there and have something left to measure, each with the ids of its texts: windows for
     * calibration, other windows to score, and the text that predictors are fitted on.
     * @param {(name: string) => boolean} isDone
     */
    async *modelsLeft(isDone) {
      const only = values.models?.split(',');
      for (const [name, model] of Object.entries(run.models)) {
        const source = within(model.source) ?? placeOf(model.source);
        if ((only && !only.includes(name)) || !existsSync(source) || isDone(name)) continue;
        const tokenizer = await readTokenizer(await openModelFiles(source));
        const encoded = (text) => tokenizer.encode(readText(text), { addSpecialTokens: false });
        const { heldOut, training } = run.texts[model.text];
        const { window, calibrationWindows, scoredWindows } = run.measure;
        const all = windowsOf(encoded(heldOut), calibrationWindows + scoredWindows, window);
        yield {
          name,
          model: { ...model, source },
          calibration: all.slice(0, calibrationWindows),
          scored: all.slice(calibrationWindows),
          training: encoded(training),
        };
      }
    },
  };
}
