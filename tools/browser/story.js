// Writes the bundled model's story: the same code on a page, where an import map leads to the built packages, and in
// Node. Says what it ran on as well.
import { modelUrl } from '@relufy/llama-tales';
import { loadModel } from '@relufy/models';

export async function writeStory(question, maxNewTokens, options) {
  const model = await loadModel(modelUrl, options);
  let text = '';
  const stream = model.generate([{ role: 'user', content: question }], { temperature: 0, maxNewTokens });
  for await (const piece of stream) text += piece.text;
  const { backend } = model;
  await model.dispose();
  return { text, backend };
}
