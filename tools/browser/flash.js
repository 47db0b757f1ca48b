// A model in the private file system of a browser, in memory and within a budget: what both write, and whether its file can be
// changed meanwhile. Bundled by flash.test.ts for a page and for a worker, which answers one message with one.

import { loadModel } from '@relufy/models';
import { directoryFiles } from '../../packages/checkpoint/dist/index.js';

/** Copies what is served into a folder of the private file system. */
async function keep(names, address) {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('model', { create: true });
  for (const name of names) {
    const file = await folder.getFileHandle(name, { create: true });
    const stream = await file.createWritable();
    await stream.write(await (await fetch(`${address}${name}`)).arrayBuffer());
    await stream.close();
  }
  return folder;
}

const outcome = (work) =>
  work.then(
    () => 'done',
    (error) => error.name,
  );

export async function compare({ names, address, prompt, options, memoryBudget }) {
  const folder = await keep(names, address);
  const files = directoryFiles(folder);
  const answer = async (model) => {
    const { logits } = await model.forward(prompt);
    const { tokenIds } = await model.generate(prompt, { maxNewTokens: 8, temperature: 0, stopTokenIds: [] }).result;
    return { logits: [...logits], tokenIds };
  };
  const whole = await loadModel(files, options);
  const expected = await answer(whole);
  await whole.dispose();
  const model = await loadModel(files, { ...options, memoryBudget });
  const found = await answer(model);
  const weights = await folder.getFileHandle('model.safetensors');
  const changes = {
    write: await outcome(weights.createWritable()),
    remove: await outcome(folder.removeEntry('model.safetensors')),
  };
  const { neurons } = model.stats();
  const { backend } = model;
  await model.dispose();
  // when the model is gone, so are its locks
  changes.later = await outcome(folder.removeEntry('model.safetensors'));
  return { expected, found, neurons, backend, changes };
}

globalThis.compare = (asked) =>
  compare(asked).catch((error) => ({ refusal: { code: error.code, message: error.message } }));
if (typeof window === 'undefined')
  globalThis.onmessage = async ({ data }) => globalThis.postMessage(await globalThis.compare(data));
