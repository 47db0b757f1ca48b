// The model, beside the page: nothing that it computes holds the page up. `cdn/` is a folder as a CDN would have it.
import { loadModel } from './cdn/relufy.js';

const loading = loadModel('llama-tales');

addEventListener('message', async ({ data: question }) => {
  try {
    const model = await loading;
    const stream = model.generate([{ role: 'user', content: question }], {
      ...model.recommendedSampling,
      maxNewTokens: 120,
    });
    for await (const { text } of stream) postMessage({ text });
    const { stats } = await stream.result;
    postMessage({ figures: `${Math.round(stats.tokensPerSecond)} tokens/s; ${model.backend}` });
  } catch (error) {
    postMessage({ error: error.message });
  }
});
