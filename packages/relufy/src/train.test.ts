// `relufy relufy` and `relufy train`, spawned: relufication says what to expect, and a run trains, is gone on with and fails in
// one line.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

const bundled = join(dirname(createRequire(import.meta.url).resolve('@relufy/llama-tales')), 'model');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('relufy relufy', () => {
  test('writes a model that needs no options, and predicts its sparsity', async () => {
    const out = join(folder, 'shifted');
    const args = ['relufy', 'llama-tales', '--stage', '2', '--shift', '0.05', '--out', out, '--json'];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.predictedSparsity.length).toBe(8);
    expect(report.predictedSparsity[1]).toBeGreaterThan(0.9);
    expect(report.perplexityAfter).toBeGreaterThan(report.perplexityBefore);
    const { model_type, relufy } = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
    expect({ model_type, relufy }).toEqual({ model_type: 'relufy_llama', relufy: { stage: 2 } });
    const { spec } = JSON.parse((await runCli(['inspect', out, '--json'])).stdout);
    expect(spec.masks).toContainEqual({ at: ['q', 'k', 'v'], kind: 'relu' });
    expect(spec.ffn.activation).toEqual({ kind: 'relu', threshold: 0.05 });
    // weights are untouched
    const weights = (path: string) => readFile(join(path, 'model.safetensors'));
    const [own, original] = await Promise.all([weights(out), weights(bundled)]);
    expect(own.length).toBe(original.length);
  });

  test.each([
    [['--stage', '3'], 1, 'relufy "stage": expected 1 or 2, got 3.'],
    [['--stage', '1', '--activation', 'gelu'], 2, '--activation: expected relu, relu2 or fatrelu, got "gelu".'],
    [['--stage', '1', '--threshold', '1'], 1, 'relufy "threshold": expected one with activation fatrelu'],
  ])('%j is refused', async (options, exitCode, message) => {
    const out = join(folder, 'refused');
    const { code, stderr } = await runCli(['relufy', 'llama-tales', ...options, '--out', out]);
    expect(code).toBe(exitCode);
    expect(stderr).toContain(message);
    expect(await readdir(folder)).not.toContain('refused');
  });
});

describe('relufy train', () => {
  const config = (out: string, steps: number) => `
model:
  tokenizer: ${bundled}
  config:
    model_type: llama
    vocab_size: 4096
    hidden_size: 8
    intermediate_size: 16
    num_hidden_layers: 1
    num_attention_heads: 1
    hidden_act: relu
    tie_word_embeddings: true
data:
  - path: pairs.jsonl
contextLength: 8
batchSize: 2
packing: documents
steps: ${steps}
optimizer:
  learningRate: 0.01
out: ${out}
`;

  test('trains, writes a model, and goes on', async () => {
    const pairs = [
      { prompt: 'Who?', answer: 'The fox.' },
      { prompt: 'And?', answer: 'The owl.' },
    ];
    await writeFile(join(folder, 'pairs.jsonl'), pairs.map((pair) => JSON.stringify(pair)).join('\n'));
    await writeFile(join(folder, 'run.yaml'), config('run', 2));
    const first = await runCli(['train', '--config', join(folder, 'run.yaml')]);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/step 2\/2, loss \d+\.\d+, perplexity .*, density .* %, .* tokens\/s/);
    expect((await readdir(join(folder, 'run'))).sort()).toEqual(
      ['checkpoints', 'loss.svg', 'metrics.jsonl', 'model', 'run.json', 'tokens'].sort(),
    );
    const again = await runCli(['train', '--config', join(folder, 'run.yaml')]);
    expect(again.stdout).toContain('going on behind step 2');
    const { stdout } = await runCli(['inspect', join(folder, 'run/model')]);
    expect(stdout).toContain('relu');
  });

  test('a key that does not exist is one line', async () => {
    await writeFile(join(folder, 'broken.yaml'), `${config('other', 2)}stepps: 3\n`);
    const { code, stderr } = await runCli(['train', '--config', join(folder, 'broken.yaml')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/"stepps": unknown\. Expected one of model, .*steps/);
    expect(stderr.trim().split('\n').length).toBe(1);
  });
});
