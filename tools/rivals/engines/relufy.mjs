// Relufy: `loadModel` on the native or the WASM backend, through the API that users call.
// Owns: feeding given ids (the prompt grows by one, the KV cache keeps the rest), bits of logits, active sets.
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { importKernels, importModels, importNative } from '../relufy-packages.mjs';
import { stepwise } from './engine.mjs';

/** @param {{ backend?: string, threads: number }} spec */
export async function createBackend({ backend, threads }) {
  if (backend === 'native') {
    const { native, reason } = await importNative();
    if (!native) throw new Error(`native: ${reason}`);
    return native.createNativeBackend({ threads });
  }
  const { createWasmBackend } = await importKernels();
  return createWasmBackend({ threads });
}

/** @param {import('./engine.mjs').EngineSpec} spec @returns {Promise<import('./engine.mjs').Engine>} */
export async function open(spec) {
  const { model: source, dtype, sparsity, shift, plan, memoryBudget, contextLength } = spec;
  const { loadModel } = await importModels();
  const begin = performance.now();
  const backend = await createBackend(spec);
  if (dtype && !backend.weightDTypes.includes(dtype)) {
    await backend.dispose();
    throw new Error(`${dtype} is not among the ${backend.name} backend's formats (${backend.weightDTypes.join(', ')})`);
  }
  const model = await loadModel(source, {
    backend,
    contextLength,
    waitingBytes: 0, // every turn computes its own prompt
    ...(dtype && { dtype }),
    ...(sparsity && { sparsity }),
    ...(shift && { relufy: { stage: 1, shift } }),
    ...(plan && { plan }),
    ...(memoryBudget && { memoryBudget }),
  });
  const loadMs = performance.now() - begin;

  let ids = [];
  const next = async () => {
    const { usage } = await model.generate(ids, { maxNewTokens: 1, stopTokenIds: [], temperature: 0 }).result;
    return usage.cachedTokens;
  };
  return {
    description: `${model.backend}; ${model.sparsity}`,
    loadMs,
    facts: { 'KV cache': 'f32', 'prefill chunk': 128 },
    ...stepwise({
      async reset([first]) {
        await model.forward([first === 0 ? 1 : 0]); // another first token: nothing of the cache fits
      },
      async start(prompt) {
        ids = [...prompt];
        if ((await next()) !== 0) throw new Error('internal: the prompt was still in the cache');
      },
      async step(id) {
        ids.push(id);
        if ((await next()) !== ids.length - 1) throw new Error('internal: more than one token was evaluated');
      },
      beforeDecode: () => model.resetStats(),
      afterDecode() {
        const { weightBytesPerToken, density, neurons } = model.stats();
        return { bytesPerToken: weightBytesPerToken, density: [...density.down], ...(neurons && { neurons }) };
      },
    }),
    async greedy(prompt, count) {
      await model.forward([prompt[0] === 0 ? 1 : 0]);
      const stream = model.generate(prompt, { maxNewTokens: count, stopTokenIds: [], temperature: 0, logprobs: true });
      const found = { ids: [], logprobs: [] };
      for await (const { tokenId, logprob } of stream) {
        found.ids.push(tokenId);
        found.logprobs.push(logprob);
      }
      return found;
    },
    encode: (text) => model.encode(text),
    async digest(prompt, decoded) {
      const hash = createHash('sha256');
      const { logits } = await model.forward([...prompt, ...decoded], { logits: 'all' });
      hash.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
      for (let k = 0; k <= decoded.length; k++) {
        const options = { maxNewTokens: 1, stopTokenIds: [], temperature: 0, logprobs: 50 };
        if (k === 0) await model.forward([prompt[0] === 0 ? 1 : 0]);
        for await (const piece of model.generate([...prompt, ...decoded.slice(0, k)], options))
          hash.update(JSON.stringify(piece.topLogprobs));
      }
      return hash.digest('hex');
    },
    async overlap(prompt) {
      const layers = Array.from({ length: model.spec.numHiddenLayers }, (_, layer) => `down.${layer}`);
      const { captured } = await model.forward(prompt, { capture: layers });
      return layers.map((layer) => overlapOf(captured[layer], model.spec.intermediateSize));
    },
    async close() {
      await model.dispose();
      await backend.dispose();
    },
  };
}

/** Neurons that a token shares with the one before, over what independent sets of those sizes would share. */
function overlapOf(activations, width) {
  let [shared, byChance] = [0, 0];
  for (let from = width; from < activations.length; from += width) {
    let [here, before, both] = [0, 0, 0];
    for (let i = 0; i < width; i++) {
      const active = activations[from + i] !== 0;
      const wasActive = activations[from - width + i] !== 0;
      here += active;
      before += wasActive;
      both += active && wasActive;
    }
    shared += both;
    byChance += (here * before) / width;
  }
  return shared / byChance;
}
