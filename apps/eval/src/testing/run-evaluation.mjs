// An evaluation of the bundled model in a process of its own, for a test to kill. Takes what it needs of the arguments
// of `relufy eval`, and runs the built packages, as a user would. While the file that RELUFY_TEST_HOLD names is there, it stands
// still after ten documents: on a busy machine it would else be done before the test sees how far it is.
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runEvaluation, TaskRegistry } from '@relufy/eval';
import { loadModel } from '@relufy/models';

const text = { type: 'string' };
const { values } = parseArgs({
  options: { tasks: text, data: text, out: text, sparsity: text, resume: { type: 'boolean' } },
  allowPositionals: true,
});
const folder = new URL('../../../../packages/llama-tales/model/', import.meta.url);
const model = await loadModel(folder, {
  threads: 1,
  contextLength: 128,
  slots: 3,
  backend: 'wasm',
  sparsity: values.sparsity ?? 'exact',
});
const hold = process.env.RELUFY_TEST_HOLD;
if (hold !== undefined) {
  const scoreBatch = model.scoreBatch.bind(model);
  let documents = 0;
  model.scoreBatch = async (requests) => {
    if (++documents > 10) while (existsSync(hold)) await setTimeout(20);
    return scoreBatch(requests);
  };
}
const selection = await (await TaskRegistry.open()).select([values.tasks]);
const { tasks: _, sparsity: __, data: dataFolder, ...options } = values;
const result = await runEvaluation(model, selection, { ...options, dataFolder, bootstrapIterations: 0 });
console.log(result.text);
await model.dispose();
