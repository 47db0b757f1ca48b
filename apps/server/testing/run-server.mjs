// A server of its own process for tests that kill one: the bundled model, a queue of batches. Prints its address.
// `run-server.mjs REDIS-URL QUEUE-NAME WORKERS`
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../../packages/models/dist/node.js';
import { createHandler, listen } from '../dist/index.js';

const tales = fileURLToPath(new URL('../../../packages/llama-tales/model/', import.meta.url));
const [url, name, workers] = process.argv.slice(2);
const handler = createHandler({
  models: [{ id: 'tales', load: (hooks) => loadModel(tales, { slots: 2, threads: 1, ...hooks }) }],
  ...(url && { batches: { url, name, workers: Number(workers), leaseMs: 1500 } }),
});
await handler.ready;
console.log((await listen(handler, { port: 0 })).url);
