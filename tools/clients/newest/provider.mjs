// The newest AI SDK with the models of @relufy/ai-provider in this process: `node provider.mjs`. Prints a line a check, and throws at
// the first that fails. The AI SDK of the workspace, which runs on Node 20, has the tests of the package.
import assert from 'node:assert/strict';
import { embed, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { relufy } from '../../../packages/ai-provider/dist/index.js';

const model = relufy('llama-tales');
const prompt = 'Tell me a story about a fox.';
const asked = { model, prompt, temperature: 0, maxOutputTokens: 24 };

const { text, usage, providerMetadata } = await generateText(asked);
assert.match(text, /^Once upon a time/);
assert.equal(usage.outputTokens, 24);
assert.ok(providerMetadata.relufy.sparsity.activeRatio < 0.5);
console.log('text, usage, sparsity');

let streamed = '';
for await (const part of streamText(asked).textStream) streamed += part;
assert.equal(streamed, text);
console.log('a stream says the same');

const stop = new AbortController();
const aborted = streamText({ ...asked, maxOutputTokens: 400, abortSignal: stop.signal, onError: () => {} });
let parts = 0;
for await (const part of aborted.fullStream) if (part.type === 'text-delta' && ++parts === 3) stop.abort();
assert.ok(parts < 50);
console.log('an abort ends it');

const schema = z.object({ name: z.string().max(8), age: z.number().int().min(0).max(9) });
const { output } = await generateText({ ...asked, maxOutputTokens: 250, output: Output.object({ schema }) });
schema.parse(output);
console.log('an object by a schema');

const weather = tool({
  description: 'Current weather',
  inputSchema: z.object({ city: z.string().max(12) }),
  execute: async ({ city }) => `${city}: sunny`,
});
const called = await generateText({
  ...asked,
  maxOutputTokens: 250,
  tools: { weather },
  toolChoice: { type: 'tool', toolName: 'weather' },
  stopWhen: stepCountIs(1),
});
assert.equal(called.toolCalls[0].toolName, 'weather');
assert.match(called.toolResults[0].output, /: sunny$/);
console.log('a tool that is demanded is called');

const { embedding } = await embed({ model: relufy.embeddingModel('llama-tales'), value: 'A fox' });
assert.equal(embedding.length, 256);
console.log('an embedding');
await relufy.dispose();
