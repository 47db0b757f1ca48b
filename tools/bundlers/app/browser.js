// A page of somebody who installed relufy: bundled by each bundler, it writes the bundled model's story when asked.
import { loadModel } from 'relufy';

globalThis.writeStory = async (question, maxNewTokens, options) => {
  const model = await loadModel('llama-tales', options);
  let text = '';
  const stream = model.generate([{ role: 'user', content: question }], { temperature: 0, maxNewTokens });
  for await (const piece of stream) text += piece.text;
  const { backend } = model;
  await model.dispose();
  return { text, backend };
};
