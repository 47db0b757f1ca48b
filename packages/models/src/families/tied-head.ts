// Whether the head is the embedding, decided as transformers decides it: by what the checkpoint holds. Where config.json
// ties them, either tensor alone serves as both (safetensors' save_model keeps whichever name comes first), and two
// tensors that differ are both used.
// Does not own where a family keeps them (families) nor what a config says of it (llama-shaped.ts, opt.ts, falcon.ts).
import { type Checkpoint, sameTensor } from '@relufy/checkpoint';
import { tensorOf } from '../loading/load-weights.js';
import { hasPacked } from '../loading/packed.js';
import type { ModelSpec } from '../spec.js';
import type { Family, WeightMap, WeightPart } from './family.js';

/**
 * The spec with `tieWordEmbeddings` as the checkpoint has it, and where the weights lie. Reads headers only, unless both
 * tensors are stored: then as far as they are equal.
 */
export async function resolveTying(
  family: Family,
  spec: ModelSpec,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<{ readonly spec: ModelSpec; readonly map: WeightMap }> {
  const map = family.weights(spec);
  if (!spec.tieWordEmbeddings) return { spec, map };
  const untied = { ...spec, tieWordEmbeddings: false };
  if (hasPacked(checkpoint, 'lmHead')) return { spec: untied, map: family.weights(untied) };
  const own = family.weights(untied);
  const head = tensorOf(family, only(own, 'lmHead').tensor, checkpoint);
  if (head === undefined) return { spec, map };
  const embedding = tensorOf(family, only(own, 'embedTokens').tensor, checkpoint);
  if (embedding === undefined) return { spec, map: new Map([...map, ['embedTokens', own.get('lmHead') ?? []]]) };
  return (await sameTensor(checkpoint, embedding, head, signal)) ? { spec, map } : { spec: untied, map: own };
}

function only(map: WeightMap, buffer: string): WeightPart {
  const part = map.get(buffer)?.[0];
  if (part === undefined) throw new Error(`internal: a family without "${buffer}"`);
  return part;
}
