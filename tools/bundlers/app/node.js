// A program of somebody who installed relufy: bundled by each bundler, it writes the bundled model's story.
import { loadModel } from 'relufy';

async function main() {
  const [question, maxNewTokens] = process.argv.slice(2);
  const model = await loadModel('llama-tales', { threads: 2 });
  const options = { temperature: 0, maxNewTokens: Number(maxNewTokens) };
  for await (const piece of model.generate([{ role: 'user', content: question }], options)) {
    process.stdout.write(piece.text);
  }
  await model.dispose();
}

main();
