// The provider under the real AI SDK: the bundled model for text, a scripted one for answers that no small model gives.
import { embedMany, generateObject, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createRelufy, type RelufyProvider, type RelufyReport } from './index.js';
import { scriptedModel, withoutTools } from './testing/scripted-model.js';

// warnings are looked at; nobody needs them in the log
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const weather = tool({
  description: 'The weather of a city',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Rain in ${city}`,
});
const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>';

describe('the bundled model', () => {
  let provider: RelufyProvider;
  beforeAll(async () => {
    provider = createRelufy({ load: { backend: 'wasm', threads: 1 } });
    await provider.preload('llama-tales');
  });
  afterAll(() => provider.dispose());
  const prompt = 'Tell me a story about a fox.';

  test('writes, repeats a seed, tells usage, sparsity and timings', async () => {
    const ask = (seed: number) => generateText({ model: provider('llama-tales'), prompt, seed, maxOutputTokens: 24 });
    const [first, again, other] = [await ask(7), await ask(7), await ask(8)];
    expect(first.text.length).toBeGreaterThan(20);
    expect(again.text).toBe(first.text);
    expect(other.text).not.toBe(first.text);
    expect(first.finishReason).toBe('length');
    expect(first.usage).toMatchObject({ outputTokens: 24, outputTokenDetails: { textTokens: 24, reasoningTokens: 0 } });
    expect(again.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(3);
    const { sparsity, timings, seed } = (first.providerMetadata?.relufy ?? {}) as unknown as {
      sparsity: { activeRatio: number; skippedBytesPerToken: number };
      timings: { tokensPerSecond: number };
      seed: number;
    };
    expect(seed).toBe(7);
    expect(sparsity.activeRatio).toBeLessThan(0.3);
    expect(sparsity.skippedBytesPerToken).toBeGreaterThan(1e6);
    expect(timings.tokensPerSecond).toBeGreaterThan(0);
    expect(first.warnings).toEqual([]);
  });

  test('streams what it writes at once; dense is the same text', async () => {
    const options = { model: provider('llama-tales'), prompt, temperature: 0, maxOutputTokens: 16 };
    const { textStream } = streamText(options);
    const deltas: string[] = [];
    for await (const delta of textStream) deltas.push(delta);
    expect(deltas.length).toBeGreaterThan(8);
    const dense = await generateText({ ...options, providerOptions: { relufy: { sparsity: 'dense' } } });
    expect(dense.text).toBe(deltas.join(''));
    expect(dense.providerMetadata?.relufy).toMatchObject({ sparsity: { activeRatio: 1, skippedBytesPerToken: 0 } });
  });

  test('stops when it is told to, and reports what it cost', async () => {
    const reports: RelufyReport[] = [];
    const stop = new AbortController();
    const { textStream } = streamText({
      model: provider('llama-tales', { onReport: (report) => reports.push(report) }),
      prompt,
      abortSignal: stop.signal,
    });
    let heard = 0;
    for await (const _ of textStream) if (++heard === 5) stop.abort();
    await expect.poll(() => reports).toHaveLength(1);
    const [report] = reports;
    expect(report?.finishReason).toEqual({ unified: 'other', raw: 'abort' });
    expect(report?.usage.outputTokens.total).toBeGreaterThanOrEqual(5);
    expect(report?.usage.outputTokens.total).toBeLessThan(200);
  });

  test('warns of settings that do nothing, and refuses those that do not exist', async () => {
    const ask = (options: object) =>
      generateText({ model: provider('llama-tales'), prompt, maxOutputTokens: 1, ...options });
    const { warnings } = await ask({ temperature: 0, topK: 3, headers: { 'x-mine': '1' } });
    expect(warnings?.map((warning) => 'feature' in warning && warning.feature)).toEqual(['headers', 'topK']);
    await expect(ask({ providerOptions: { relufy: { minp: 0.1 } } })).rejects.toThrow('minp');
    await expect(
      ask({
        prompt: undefined,
        messages: [{ role: 'user', content: [{ type: 'file', mediaType: 'image/png', data: 'aGk=' }] }],
      }),
    ).rejects.toThrow('expected text, got a file of type image/png');
  });

  test('is held to a schema: objects that fit, from a model that knows no JSON', async () => {
    const schema = z.object({
      animal: z.enum(['fox', 'cat']),
      legs: z.number().int().min(0).max(9),
      happy: z.boolean(),
    });
    for (const seed of [1, 2, 3]) {
      const { object, warnings } = await generateObject({
        model: provider('llama-tales'),
        schema,
        prompt: 'A fox.',
        seed,
      });
      expect(schema.parse(object)).toEqual(object);
      expect(warnings).toEqual([]);
    }
    const streamed = streamText({
      model: provider('llama-tales'),
      prompt: 'A fox.',
      seed: 4,
      output: Output.object({ schema }),
    });
    expect(schema.parse(await streamed.output)).toBeDefined();
  });

  test('is held to a call of a tool, whose input fits', async () => {
    const { toolCalls, finishReason, warnings } = await generateText({
      model: provider('llama-tales'),
      prompt: 'How is the weather?',
      tools: {
        weather: tool({ description: 'The weather', inputSchema: z.object({ city: z.enum(['Bonn', 'Rome']) }) }),
      },
      toolChoice: 'required',
      seed: 1,
    });
    expect(['Bonn', 'Rome']).toContain((toolCalls[0] as { input: { city: string } } | undefined)?.input.city);
    expect(finishReason).toBe('tool-calls');
    expect(warnings).toMatchObject([{ type: 'compatibility', feature: 'tools' }]);
  });

  test('embeds: vectors of length 1, near each other where texts are', async () => {
    const values = ['The fox ran into the forest.', 'The fox ran into the woods.', 'Mom made a big cake.'];
    const { embeddings, usage } = await embedMany({ model: provider.embeddingModel('llama-tales'), values });
    const cosine = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
    const [a, b, c] = embeddings as [number[], number[], number[]];
    expect(cosine(a, a)).toBeCloseTo(1, 6);
    expect(cosine(a, b)).toBeGreaterThan(cosine(a, c));
    expect(usage.tokens).toBeGreaterThan(15);
    expect(() => provider.imageModel('llama-tales')).toThrow('No such imageModel');
  });
});

describe('a scripted model', () => {
  test('calls a tool, hears its result, and answers', async () => {
    const model = scriptedModel([`Let me look.\n${call}`, 'It rains.']);
    const provider = createRelufy({ models: { mine: model } });
    const { text, steps } = await generateText({
      model: provider('mine'),
      prompt: 'Bonn?',
      tools: { weather },
      stopWhen: stepCountIs(3),
    });
    expect(text).toBe('It rains.');
    expect(steps[0]?.toolCalls[0]).toMatchObject({ toolName: 'weather', input: { city: 'Bonn' } });
    expect(steps[0]?.finishReason).toBe('tool-calls');
    expect(model.asked[0]?.prompt).toContain(
      '[tools [{"type": "function", "function": {"name": "weather", "description": "The weather of a city"',
    );
    expect(model.asked[1]?.prompt).toContain('<|im_start|>tool\nRain in Bonn');
  });

  test('streams the input of a tool as it comes', async () => {
    const provider = createRelufy({ models: { mine: scriptedModel([call]) } });
    const { fullStream } = streamText({ model: provider('mine'), prompt: 'Bonn?', tools: { weather } });
    let input = '';
    const types = new Set<string>();
    for await (const part of fullStream) {
      types.add(part.type);
      if (part.type === 'tool-input-delta') input += part.delta;
    }
    expect(input).toBe('{"city": "Bonn"}');
    expect([...types]).toEqual(
      expect.arrayContaining(['tool-input-start', 'tool-input-end', 'tool-call', 'tool-result']),
    );
  });

  test('which calls it is held to is told to the library; a tool that may not be called is hidden from it', async () => {
    const model = scriptedModel([call, call, 'No.']);
    const provider = createRelufy({ models: { mine: model } });
    const ask = (toolChoice: 'required' | 'none' | { type: 'tool'; toolName: 'weather' }) =>
      generateText({ model: provider('mine'), prompt: 'Bonn?', tools: { weather, other: weather }, toolChoice });
    expect((await ask('required')).toolCalls).toHaveLength(1);
    await ask({ type: 'tool', toolName: 'weather' });
    expect((await ask('none')).toolCalls).toEqual([]);
    const asked = model.asked.map(({ options }) => [
      options.toolChoice,
      options.tools?.map((one) => one.function.name),
    ]);
    expect(asked).toEqual([
      ['required', ['weather', 'other']],
      [{ name: 'weather' }, ['weather', 'other']],
      [undefined, undefined],
    ]);
    expect(model.asked[2]?.prompt).not.toContain('weather');
  });

  test('a template without a place for tools has them in the system message, and says so', async () => {
    const model = scriptedModel([call], withoutTools);
    const provider = createRelufy({ models: { mine: model } });
    const { toolCalls, warnings } = await generateText({
      model: provider('mine'),
      system: 'Be kind.',
      prompt: 'Bonn?',
      tools: { weather },
    });
    expect(toolCalls).toHaveLength(1);
    expect(model.asked[0]?.prompt).toMatch(/^Be kind\.\n\nYou may call functions to answer/);
    expect(warnings).toMatchObject([{ type: 'compatibility', feature: 'tools' }]);
  });

  test('reasoning is kept apart, counted, and sent back', async () => {
    const model = scriptedModel(['<think>Hmm, hmm.</think>Yes.', 'Good.']);
    const provider = createRelufy({ models: { mine: model } });
    const first = await generateText({ model: provider('mine'), prompt: 'Well?' });
    expect([first.reasoningText, first.text]).toEqual(['Hmm, hmm.', 'Yes.']);
    expect(first.usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(4);
    expect(first.usage.outputTokenDetails.textTokens).toBeGreaterThan(0);
  });
});

test('ai 7 calls models through a proxy', async () => {
  const provider = createRelufy({ models: { mine: scriptedModel(['Yes.']) } });
  const model = new Proxy(provider('mine'), {});
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Well?' }] }];
  const { content } = await model.doGenerate({ prompt });
  expect(content).toEqual([{ type: 'text', text: 'Yes.' }]);
  expect((await model.doStream({ prompt })).stream).toBeInstanceOf(ReadableStream);
  await expect(new Proxy(provider.embeddingModel('mine'), {}).doEmbed({ values: ['x'] })).rejects.toThrow(
    'not scripted',
  );
});

test('what cannot be loaded is one error, and is tried again', async () => {
  const provider = createRelufy();
  const ask = () => generateText({ model: provider('no-such-model'), prompt: 'Hi', maxRetries: 0 });
  await expect(ask()).rejects.toThrow('expected "llama-tales"');
  await expect(ask()).rejects.toThrow('expected "llama-tales"');
});
