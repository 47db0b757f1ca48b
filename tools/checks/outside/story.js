// Plain JavaScript of somebody who installed relufy: packed.test.ts runs a copy of it outside the workspace.
import { loadModel } from 'relufy';

const [question, maxNewTokens] = process.argv.slice(2);
const model = await loadModel('llama-tales');
const options = { temperature: 0, maxNewTokens: Number(maxNewTokens) };
for await (const piece of model.generate([{ role: 'user', content: question }], options)) {
  process.stdout.write(piece.text);
}
await model.dispose();
