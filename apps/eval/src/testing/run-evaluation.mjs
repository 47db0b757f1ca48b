// An evaluation of the bundled model in a process of its own, for a test to kill. Takes what it needs of the arguments
// of `relufy eval`, and runs the built packages, as a user would.
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
const selection = await (await TaskRegistry.open()).select([values.tasks]);
const { tasks: _, sparsity: __, data: dataFolder, ...options } = values;
const result = await runEvaluation(model, selection, { ...options, dataFolder, bootstrapIterations: 0 });
console.log(result.text);
await model.dispose();
