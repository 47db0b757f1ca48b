// Tiny models of three families as `relufy train` and `relufy relufy` write them, each with our logits on some ids and
// whether transformers should read it: `node make.mjs FOLDER`. Does not own the comparison (check.py).
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel, openModelFiles } from '@relufy/models';
import { parseRunConfig, relufyModel, runTraining, trainTokenizer } from '@relufy/train';

const out = resolve(process.argv[2] ?? fileURLToPath(new URL('../../build/transformers', import.meta.url)));
rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'tokenizer'), { recursive: true });

const text = 'The fox met the bear. They sat by the old tree and ate, and the owl was glad of them.\n'.repeat(20);
const vocabulary = await trainTokenizer([text], { vocabSize: 280, specialTokens: ['<s>', '<end>'] });
writeFileSync(join(out, 'tokenizer/tokenizer.json'), JSON.stringify(vocabulary));
writeFileSync(join(out, 'tokenizer/tokenizer_config.json'), JSON.stringify({ bos_token: '<s>', eos_token: '<end>' }));
writeFileSync(join(out, 'text.txt'), text);

const sizes = {
  vocab_size: 280,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 64,
};
const tokens = { bos_token_id: 0, eos_token_id: 1, pad_token_id: 1 };
const families = {
  llama: {
    key: 'hidden_act',
    base: 'silu',
    config: {
      ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], ...sizes, ...tokens, intermediate_size: 64 },
      ...{ num_key_value_heads: 2, rms_norm_eps: 1e-5, tie_word_embeddings: true },
    },
  },
  falcon: {
    key: 'activation',
    base: 'gelu',
    config: {
      ...{ model_type: 'falcon', architectures: ['FalconForCausalLM'], ...sizes, ...tokens, ffn_hidden_size: 64 },
      ...{ multi_query: true, parallel_attn: true, new_decoder_architecture: false, bias: false, alibi: false },
      tie_word_embeddings: true,
    },
  },
  opt: {
    key: 'activation_function',
    base: 'gelu',
    config: {
      ...{ model_type: 'opt', architectures: ['OPTForCausalLM'], ...sizes, ...tokens, ffn_dim: 64 },
      ...{ word_embed_proj_dim: 32, do_layer_norm_before: true, tie_word_embeddings: true },
    },
  },
};

/** Surgeries, and whether plain transformers computes what comes of them. */
const kinds = {
  relu: { relufy: { stage: 1 }, loads: true },
  relu2: { relufy: { stage: 1, activation: 'relu2' }, loads: true },
  'stage-2': { relufy: { stage: 2 }, loads: false },
  shifted: { relufy: { stage: 1, shift: 0.05 }, loads: false },
  fatrelu: { relufy: { stage: 1, activation: 'fatrelu', threshold: 0.05 }, loads: false },
};

async function train(folder, model) {
  const config = {
    ...{
      model: { ...model, initializerRange: 0.15 },
      data: [{ path: join(out, 'text.txt') }],
      contextLength: 16,
      batchSize: 2,
    },
    ...{ steps: 2, optimizer: { learningRate: 1e-3 }, out: join(out, folder) },
  };
  await runTraining(parseRunConfig(config));
}

const models = [];
for (const [family, { key, base, config }] of Object.entries(families)) {
  await train(`${family}-base`, { config: { ...config, [key]: base }, tokenizer: join(out, 'tokenizer') });
  const from = join(out, `${family}-base/model`);
  models.push({ folder: `${family}-base/model`, loads: true });
  for (const [kind, { relufy, loads }] of Object.entries(kinds)) {
    await train(`${family}-${kind}`, { from, relufy });
    models.push({ folder: `${family}-${kind}/model`, loads });
  }
  await relufyModel(await openModelFiles(from), { relufy: { stage: 1 }, out: join(out, `${family}-untrained`) });
  models.push({ folder: `${family}-untrained`, loads: true });
}
const ids = Array.from({ length: 24 }, (_, i) => (i * 37 + 11) % 280);
for (const { folder } of models) {
  const model = await loadModel(join(out, folder), { backend: 'reference' });
  const { logits, shape } = await model.forward(ids, { logits: 'all' });
  writeFileSync(join(out, folder, 'logits.json'), JSON.stringify({ ids, shape, logits: [...logits] }));
  await model.dispose();
}
writeFileSync(join(out, 'models.json'), JSON.stringify(models, null, 2));
console.log(`${models.length} models in ${out}`);
