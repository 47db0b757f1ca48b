// The built command, spawned: what it prints where, and its exit codes.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { runCli } from './testing/run-cli.js';

const question = 'Tell me a story about a fox.\n';
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A copy of the bundled model's small files, and so many bytes of its weights. */
async function damagedModel(name: string, weightBytes: number, tokenizerConfig?: string): Promise<string> {
  const [from, to] = [fileURLToPath(modelUrl), join(folder, name)];
  await mkdir(to);
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(from, file), join(to, file));
  if (tokenizerConfig !== undefined) await writeFile(join(to, 'tokenizer_config.json'), tokenizerConfig);
  const weights = await readFile(join(from, 'model.safetensors'));
  await writeFile(join(to, 'model.safetensors'), weights.subarray(0, weightBytes));
  return to;
}

describe('relufy chat from a pipe', () => {
  test('answers and nothing else, exit code 0', async () => {
    const { code, stdout, stderr } = await runCli(['chat', 'llama-tales', '--seed', '1'], { input: question });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^[A-Z][\s\S]{100,}\n$/);
    expect(stdout).not.toMatch(/(?!\n)\p{Cc}|^>/mu);
  });

  test('the model is an argument or an option, and not two models', async () => {
    const args = ['--max-new-tokens', '3', '--temperature', '0'];
    const results = [];
    for (const named of [['llama-tales'], ['--model', 'llama-tales'], ['llama-tales', '--model', 'llama-tales']])
      results.push(await runCli(['chat', ...named, ...args], { input: question }));
    for (const result of results) expect(result).toEqual({ code: 0, stdout: results[0]?.stdout, stderr: '' });
    expect(await runCli(['chat', 'llama-tales', '--model', 'other'])).toEqual({
      code: 2,
      stdout: '',
      stderr: 'chat: expected one model, got "llama-tales" and --model "other". Name one.\n',
    });
    expect((await runCli(['chat', 'one', 'two'])).code).toBe(2);
  }, 30_000);

  test('a message that does not fit is told with its size', async () => {
    const { code, stdout, stderr } = await runCli(['chat', 'llama-tales'], { input: `${'word '.repeat(600)}\n` });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^Your message is too long: \d{3,4} tokens, this model holds 512\.\n$/);
  });

  test('an answer that is longer than the context goes on', async () => {
    const settings = ['--context-length', '48', '--max-new-tokens', '90', '--temperature', '0'];
    const { code, stdout, stderr } = await runCli(['chat', 'llama-tales', ...settings], { input: question });
    expect(code).toBe(0);
    expect(stdout.trim().split(/\s+/).length).toBeGreaterThan(50);
    expect(stderr).toMatch(/^The context is full: .* The answer went on\. [^\n]*\n$/);
  });

  test('two turns, and FORCE_COLOR colours no answer', async () => {
    const options = { input: `${question}\nGo on.`, env: { FORCE_COLOR: '1' } };
    const { code, stdout } = await runCli(
      ['chat', 'llama-tales', '--max-new-tokens', '8', '--temperature', '0'],
      options,
    );
    expect(code).toBe(0);
    expect(stdout).not.toContain('\u{1b}');
    expect(stdout).toMatch(/^Once upon a time, .*\n[\s\S]+\n$/);
  });

  test('a reader that has enough ends it quietly', async () => {
    const { code, stderr } = await runCli(['chat', 'llama-tales'], {
      whileRunning: (child) => {
        child.stdout?.once('data', () => child.stdout?.destroy());
        child.stdin?.end(question.repeat(3));
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('%s ends it with exit code %d, though the input is open', async (signal, expected) => {
    const { code, stderr } = await runCli(['chat', 'llama-tales'], {
      whileRunning: (child) => {
        child.stdin?.write(question);
        child.stdout?.once('data', () => child.kill(signal));
      },
    });
    expect({ code, stderr }).toEqual({ code: expected, stderr: '' });
  });
});

describe('relufy generate', () => {
  const greedy = ['generate', '--prompt', 'Once upon a time', '--max-new-tokens', '12', '--temperature', '0'];

  test('prints the text that --json tells', async () => {
    const [text, json] = await Promise.all([runCli(greedy), runCli([...greedy, '--json', '--logprobs', '2'])]);
    const object = JSON.parse(json.stdout);
    expect(text).toEqual({ code: 0, stdout: `${object.text}\n`, stderr: '' });
    expect(await runCli(['generate', 'llama-tales', ...greedy.slice(1)])).toEqual(text);
    expect(object).toMatchObject({
      model: 'llama-tales',
      finishReason: 'length',
      usage: { completionTokens: 12, cachedTokens: 0 },
      stats: { decode: { tokens: 11 } },
    });
    expect(object.tokenIds).toHaveLength(12);
    expect(object.logprobs).toHaveLength(12);
    for (const { tokenId, logprob, topLogprobs } of object.logprobs)
      expect(topLogprobs[0]).toEqual({ tokenId, logprob });
  });

  test('a byte order mark before a prompt is no part of it', async () => {
    const args = ['generate', '--prompt', '-', '--max-new-tokens', '4', '--temperature', '0', '--json'];
    const results = [];
    for (const input of ['Once', '\ufeffOnce', 'Once\r\n'])
      results.push(JSON.parse((await runCli(args, { input })).stdout).tokenIds);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  test('the same seed gives the same text, at 1 and 2 threads', async () => {
    const args = ['generate', '--prompt', '-', '--json', '--seed', '7', '--max-new-tokens', '40'];
    const input = { input: 'One day\n' };
    const results = [];
    for (const more of [[], ['--threads', '1'], ['--threads', '2']])
      results.push(await runCli([...args, ...more], input));
    const objects = results.map(({ stdout }) => JSON.parse(stdout));
    expect(objects[0].seed).toBe(7);
    for (const { text, tokenIds } of objects)
      expect({ text, tokenIds }).toEqual({ text: objects[0].text, tokenIds: objects[0].tokenIds });
  });

  test('--stop, --messages, --no-repeat-ngram-size', async () => {
    const messages = '[{"role": "user", "content": "Tell me a story about a fox."}]';
    const args = ['generate', '--messages', '--prompt', messages, '--temperature', '0', '--json'];
    const { stdout } = await runCli([...args, '--stop', 'zzz', ', ', '--no-repeat-ngram-size', '3']);
    expect(JSON.parse(stdout)).toMatchObject({ text: 'Once upon a time', finishReason: 'stop', stopString: ', ' });
  });
});

describe('relufy inspect', () => {
  test('the bundled model', async () => {
    const { code, stdout } = await runCli(['inspect', 'llama-tales', '--program']);
    expect(code).toBe(0);
    expect(stdout).toContain('llama-tales: llama, 8.92 M parameters');
    expect(stdout).toContain('neurons that the gate lets through');
    expect(stdout).toMatch(/axpyRows x=down\.7/);
  });

  test('--json', async () => {
    const { stdout } = await runCli(['inspect', 'llama-tales', '--json', '--tensors', '--dtype', 'f32']);
    const object = JSON.parse(stdout);
    expect(object).toMatchObject({ name: 'llama-tales', modelType: 'llama', parameters: 8_917_248 });
    expect(Object.keys(object.memory.weights)).toEqual(['f32']);
    expect(object.tensors).toHaveLength(74);
  });
});

describeShared('relufy inspect GGUF', 'models/smollm2-135m-instruct', () => {
  test('says what its blocks become', async () => {
    const gguf = shared('models/smollm2-135m-instruct');
    const { stdout } = await runCli(['inspect', gguf]);
    expect(stdout).toMatch(/^ {2}matrices +Q8_0 as int8, Q4_1 as uint4$/m);
    expect((await runCli(['inspect', gguf, '--dtype', 'int4'])).stdout).toContain('Q8_0 as int4, Q4_1 as int4');
  });
});

describeShared('relufy on golden checkpoints', 'golden/opt-post-norm-projected', () => {
  test('inspect tells the oddities', async () => {
    const { code, stdout } = await runCli(['inspect', shared('golden/opt-post-norm-projected')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/opt, \d+ parameters/);
    expect(stdout).toContain('postNorm');
    expect(stdout).toContain('projected');
  });

  test('a model without a tokenizer cannot chat', async () => {
    const { code, stderr } = await runCli(['chat', '--model', shared('golden/llama-relu')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^chat: expected a model with a chat template, got ".*"[^\n]*\n$/);
  });
});

describe('relufy itself', () => {
  test('--version and --help', async () => {
    expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    const help = await runCli(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('Examples:');
    expect((await runCli(['help', 'chat'])).stdout).toBe((await runCli(['chat', '--help'])).stdout);
  });

  test.each([
    [['chat', '--model', './nowhere'], 1, /^model: no such file or folder: "\.\/nowhere"\. Check the path\.$/],
    [['chat', '--model', 'llama-tale'], 1, /^model: expected .* got "llama-tale"\. Did you mean llama-tales\?$/],
    [['chat', 'llama-tales', '--context-length', '9999'], 1, /contextLength.*at most 512.*got 9999/],
    [['chat', 'llama-tales', '--temperature', 'hot'], 2, /^--temperature: expected a number >= 0, got "hot"\.$/],
    [['chat', 'llama-tales', '--tempature', '1'], 2, /^unknown option '--tempature' \(Did you mean --temperature\?\)$/],
    [
      ['chat', 'llama-tales', '--backend', 'gpu'],
      2,
      /^--backend: expected auto, native, wasm or reference, got "gpu"\.$/,
    ],
    [['chta'], 2, /^unknown command 'chta' \(Did you mean chat\?\)$/],
    [['chat', 'llama-tales', 'extra'], 2, /^too many arguments/],
    [['help', 'chta'], 2, /^unknown command 'chta' \(Did you mean chat\?\)$/],
    [['help', 'nothing'], 2, /^unknown command 'nothing'$/],
    [['generate'], 2, /--prompt/],
    [['generate', './nowhere', '-p', 'x'], 1, /^model: no such file or folder: "\.\/nowhere"\. Check the path\.$/],
    [['generate', 'one', '-m', 'two', '-p', 'x'], 2, /^generate: expected one model, got "one" and --model "two"/],
    [['generate', '-p', 'x', '--messages'], 2, /^--messages: expected a prompt like .* got "x"\.$/],
    [['generate', '-p', 'x', '--logit-bias', '3'], 2, /^--logit-bias: expected ID=NUMBER, got "3"\.$/],
    [['inspect'], 2, /model/],
    [['inspect', 'no-such-model'], 1, /^model: expected .* got "no-such-model"\./],
  ] as const)('%j is one line of error and exit code %d', async (args, expected, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(message);
  });

  test('a command line without a command prints the help to the error stream', async () => {
    const { code, stdout, stderr } = await runCli([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: relufy COMMAND/);
  });

  test('truncated weights are one line of error; RELUFY_DEBUG=1 adds the stack', async () => {
    const model = await damagedModel('truncated', 1_000_000);
    for (const args of [
      ['chat', '-m', model],
      ['inspect', model],
    ]) {
      const { code, stdout, stderr } = await runCli(args, { input: question });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^[^\n]*model\.safetensors[^\n]*truncated[^\n]*\n$/);
    }
    const { stderr } = await runCli(['inspect', model], { env: { RELUFY_DEBUG: '1' } });
    expect(stderr).toMatch(/\n {4}at /);
  });

  test('a model that continues texts is sent to generate', async () => {
    const model = await damagedModel('no-template', Number.POSITIVE_INFINITY, '{}');
    const { code, stderr } = await runCli(['chat', '-m', model], { input: question });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^chat: expected a model with a chat template[^\n]*relufy generate --model[^\n]*\n$/);
  });
});
