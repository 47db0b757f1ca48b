// What each client is tried with against a server with the bundled model: chats, streams, aborts, errors, embeddings, tools.
// The packages come from whoever runs it, so that older and newer versions meet the same checks. Prints a line a check and
// throws at the first that fails.
import assert from 'node:assert/strict';

const question = 'Tell me a story about a fox.';
const messages = [{ role: 'user', content: question }];
const model = 'llama-tales';
const begins = /^Once upon a time/;
const tool = {
  name: 'get_weather',
  description: 'Current weather',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', maxLength: 12 }, days: { type: 'integer' } },
    required: ['city'],
    additionalProperties: false,
  },
};

export async function runChecks(packages, url, only) {
  for (const [name, checks] of Object.entries(clients)) {
    if (only === undefined ? name === 'openai batches' : only !== name) continue;
    for (const [what, check] of Object.entries(checks(packages, url))) {
      await check();
      console.log(`${name}: ${what}`);
    }
  }
}

const clients = {
  openai({ OpenAI }, url) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const asked = { model, messages, max_tokens: 12, temperature: 0 };
    return {
      async 'a chat'() {
        const answer = await client.chat.completions.create(asked);
        assert.match(answer.choices[0].message.content, begins);
        assert.equal(answer.usage.completion_tokens, 12);
        assert.ok(answer.sparsity.activeRatio < 0.5);
      },
      async 'a stream with usage and log-probabilities'() {
        const stream = await client.chat.completions.create({
          ...asked,
          stream: true,
          logprobs: true,
          top_logprobs: 2,
          stream_options: { include_usage: true },
        });
        let [text, usage, tokens] = ['', undefined, 0];
        for await (const chunk of stream) {
          text += chunk.choices[0]?.delta.content ?? '';
          tokens += chunk.choices[0]?.logprobs?.content?.length ?? 0;
          usage = chunk.usage ?? usage;
        }
        assert.match(text, begins);
        assert.deepEqual([usage.completion_tokens, tokens], [12, 12]);
      },
      async "its own stream's events"() {
        const runner = client.chat.completions.stream(asked);
        const texts = [];
        runner.on('content', (delta) => texts.push(delta));
        const end = await runner.finalChatCompletion().catch((error) => error);
        // refuses an answer that its length ended, after all of it has come
        assert.ok(texts.length > 5, `${end}`);
      },
      async 'leaving a stream'() {
        const stream = await client.chat.completions.create({ ...asked, max_tokens: 400, stream: true });
        for await (const _ of stream) break;
      },
      async 'completions, responses, models, embeddings'() {
        const completion = await client.completions.create({
          model,
          prompt: 'Once upon a',
          max_tokens: 2,
          echo: true,
          logprobs: 1,
        });
        assert.match(completion.choices[0].text, /^Once upon a/);
        const response = await client.responses.create({
          model,
          input: question,
          max_output_tokens: 8,
          temperature: 0,
        });
        assert.match(response.output_text, begins);
        const stream = await client.responses.create({
          model,
          input: question,
          max_output_tokens: 8,
          temperature: 0,
          stream: true,
        });
        let text = '';
        let last;
        for await (const event of stream) {
          if (event.type === 'response.output_text.delta') text += event.delta;
          last = event.type;
        }
        assert.equal(text, response.output_text);
        assert.equal(last, 'response.incomplete');
        const { data } = await client.models.list();
        assert.deepEqual(
          data.map(({ id }) => id),
          [model],
        );
        // asks for base64 and reads it
        const embedded = await client.embeddings.create({ model, input: ['a fox', 'a dog'] });
        assert.equal(embedded.data[1].embedding.length, 256);
        assert.ok(Math.abs(Math.hypot(...embedded.data[0].embedding) - 1) < 1e-5);
      },
      async 'errors that name the field'() {
        const error = await client.chat.completions.create({ ...asked, temperature: -1 }).catch((thrown) => thrown);
        assert.equal(error.status, 400);
        assert.equal(error.param, 'temperature');
      },
      async 'a call that is demanded, whole and streamed'() {
        const calling = {
          ...asked,
          max_tokens: 200,
          tools: [{ type: 'function', function: tool }],
          tool_choice: 'required',
        };
        const answer = await client.chat.completions.create(calling);
        checkCall(answer.choices[0].message.tool_calls[0].function, answer.choices[0].finish_reason);
        const runner = client.chat.completions.stream(calling);
        const end = await runner.finalChatCompletion();
        checkCall(end.choices[0].message.tool_calls[0].function, end.choices[0].finish_reason);
      },
      async 'a schema'() {
        const schema = {
          type: 'object',
          properties: { kind: { enum: ['fox', 'owl'] } },
          required: ['kind'],
          additionalProperties: false,
        };
        const answer = await client.chat.completions.create({
          ...asked,
          max_tokens: 100,
          response_format: { type: 'json_schema', json_schema: { name: 'animal', schema, strict: true } },
        });
        assert.match(JSON.parse(answer.choices[0].message.content).kind, /^(fox|owl)$/);
      },
    };
  },

  // needs a server with --batches: asked for by name
  'openai batches'({ OpenAI, toFile }, url) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    return {
      async 'a file is answered'() {
        const lines = [0, 1, 2].map((i) => ({
          custom_id: `r${i}`,
          method: 'POST',
          url: '/v1/chat/completions',
          body: { model, messages, max_tokens: 5 + i, temperature: 0 },
        }));
        const text = lines.map((line) => JSON.stringify(line)).join('\n');
        const file = await client.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
        const asked = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
        let batch = await client.batches.create(asked);
        while (batch.status === 'in_progress') {
          await new Promise((resolve) => setTimeout(resolve, 100));
          batch = await client.batches.retrieve(batch.id);
        }
        assert.deepEqual([batch.status, batch.request_counts], ['completed', { total: 3, completed: 3, failed: 0 }]);
        const output = await (await client.files.content(batch.output_file_id)).text();
        const answers = output
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        assert.deepEqual(
          answers.map((answer) => answer.response.body.usage.completion_tokens),
          [5, 6, 7],
        );
        assert.equal((await client.files.delete(file.id)).deleted, true);
      },
    };
  },

  ollama({ Ollama }, url) {
    const client = new Ollama({ host: url });
    const options = { num_predict: 12, temperature: 0 };
    return {
      async 'chat, generate, embed'() {
        const answer = await client.chat({ model, messages, options });
        assert.match(answer.message.content, begins);
        assert.equal(answer.eval_count, 12);
        let text = '';
        let last;
        for await (const part of await client.chat({ model, messages, options, stream: true })) {
          text += part.message.content;
          last = part;
        }
        assert.equal(text, answer.message.content);
        assert.equal(last.done, true);
        const generated = await client.generate({ model, prompt: question, options });
        assert.equal(generated.response, text);
        const { embeddings } = await client.embed({ model, input: ['a', 'b'] });
        assert.equal(embeddings[1].length, 256);
      },
      async 'what there is to know'() {
        const { models } = await client.list();
        assert.equal(models[0].name, model);
        assert.ok((await client.show({ model })).capabilities.includes('completion'));
        assert.equal((await client.ps()).models[0].model, model);
        await client.pull({ model });
        await assert.rejects(client.delete({ model }));
      },
      async 'a format'() {
        const format = { type: 'object', properties: { kind: { enum: ['fox', 'owl'] } }, required: ['kind'] };
        const answer = await client.chat({ model, messages, format, options: { ...options, num_predict: 200 } });
        assert.match(JSON.parse(answer.message.content).kind, /^(fox|owl)$/);
      },
    };
  },

  'ai sdk'({ ai, createOpenAICompatible, z }, url) {
    const provider = createOpenAICompatible({
      name: 'relufy',
      baseURL: `${url}/v1`,
      includeUsage: true,
      supportsStructuredOutputs: true,
    });
    const asked = { model: provider(model), prompt: question, maxOutputTokens: 12, temperature: 0 };
    return {
      async 'generateText and streamText'() {
        const { text, usage, finishReason } = await ai.generateText(asked);
        assert.match(text, begins);
        assert.deepEqual([usage.outputTokens, finishReason], [12, 'length']);
        const stream = ai.streamText(asked);
        let streamed = '';
        for await (const part of stream.textStream) streamed += part;
        assert.equal(streamed, text);
        assert.equal((await stream.usage).outputTokens, 12);
      },
      async 'an abort'() {
        const leaving = new AbortController();
        const stream = ai.streamText({
          ...asked,
          maxOutputTokens: 400,
          abortSignal: leaving.signal,
          onError: () => {},
        });
        for await (const _ of stream.textStream) {
          leaving.abort();
          break;
        }
      },
      async embeddings() {
        const { embedding } = await ai.embed({
          model: provider.textEmbeddingModel?.(model) ?? provider.embeddingModel(model),
          value: 'a',
        });
        assert.equal(embedding.length, 256);
      },
      async 'a call that is demanded'() {
        const { toolCalls } = await ai.generateText({
          ...asked,
          maxOutputTokens: 200,
          tools: {
            get_weather: ai.tool({ description: 'Current weather', inputSchema: ai.jsonSchema(tool.parameters) }),
          },
          toolChoice: 'required',
        });
        assert.equal(toolCalls[0].toolName, 'get_weather');
        assert.equal(typeof toolCalls[0].input.city, 'string');
      },
      async 'an object by a schema'() {
        const schema = z.object({ kind: z.enum(['fox', 'owl']) });
        const { output } = await ai.generateText({
          ...asked,
          maxOutputTokens: 100,
          output: ai.Output.object({ schema }),
        });
        assert.match(output.kind, /^(fox|owl)$/);
      },
    };
  },

  langchain({ langchain: { ChatOpenAI, OpenAIEmbeddings, HumanMessage } }, url) {
    const configuration = { baseURL: `${url}/v1` };
    const chat = new ChatOpenAI({ model, apiKey: 'none', configuration, maxTokens: 12, temperature: 0, maxRetries: 0 });
    return {
      async 'invoke and stream'() {
        const answer = await chat.invoke([new HumanMessage(question)]);
        assert.match(answer.content, begins);
        let text = '';
        for await (const chunk of await chat.stream([new HumanMessage(question)])) text += chunk.content;
        assert.equal(text, answer.content);
      },
      async embeddings() {
        const embedder = new OpenAIEmbeddings({ model, apiKey: 'none', configuration });
        assert.equal((await embedder.embedQuery('a')).length, 256);
      },
      async 'a tool that is demanded'() {
        const calling = new ChatOpenAI({
          model,
          apiKey: 'none',
          configuration,
          maxTokens: 200,
          temperature: 0,
          maxRetries: 0,
        });
        const bound = calling.bindTools([{ type: 'function', function: tool }], { tool_choice: 'get_weather' });
        const answer = await bound.invoke([new HumanMessage(question)]);
        assert.equal(answer.tool_calls[0].name, 'get_weather');
        assert.equal(typeof answer.tool_calls[0].args.city, 'string');
      },
    };
  },
};

function checkCall(called, finishReason) {
  assert.equal(called.name, 'get_weather');
  assert.equal(typeof JSON.parse(called.arguments).city, 'string');
  assert.equal(finishReason, 'tool_calls');
}
