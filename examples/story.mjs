// A story, token by token: `node examples/story.mjs "a fox who learns to read"`.
import { loadModel } from 'relufy';

const subject = process.argv[2] ?? 'a fox who learns to read';
const model = await loadModel('llama-tales');
const answer = model.generate([{ role: 'user', content: `Tell me a story about ${subject}.` }], {
  ...model.recommendedSampling,
  maxNewTokens: 200,
});
for await (const { text } of answer) process.stdout.write(text);

const { stats } = await answer.result;
const share = Math.round((100 * stats.weightBytesPerToken) / stats.denseWeightBytesPerToken);
process.stdout.write(`\n\n${Math.round(stats.tokensPerSecond)} tokens/s, ${share} % of the weights read for a token\n`);
await model.dispose();
