// An evaluation of the bundled model in a process of its own, for a test to kill: node run-evaluation.mjs TASK DATA OUT.
// Runs the built packages, as a user would.
import { runEvaluation, TaskRegistry } from '@relufy/eval';
import { loadModel } from '@relufy/models';

const [task, dataFolder, out] = process.argv.slice(2);
const folder = new URL('../../../../packages/llama-tales/model/', import.meta.url);
const model = await loadModel(folder, { threads: 1, contextLength: 128, slots: 3, backend: 'wasm' });
const selection = await (await TaskRegistry.open()).select([task]);
const { text } = await runEvaluation(model, selection, { out, dataFolder, resume: true, bootstrapIterations: 0 });
console.log(text);
await model.dispose();
