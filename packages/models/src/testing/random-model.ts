// A model of random weights, in memory, for any config that parses: what the family's map asks for, at its shapes.
import { encodeSafetensors, type ModelFiles, memoryFiles, type TensorToWrite } from '@relufy/checkpoint';
import { buildDecoder, parseConfig } from '../index.js';

/** What may be changed before the model is written. */
export type ChangeTensors = (tensors: Map<string, TensorToWrite & { data: Float32Array }>) => void;

export async function randomModel(config: object, change: ChangeTensors = () => {}): Promise<ModelFiles> {
  const { family, spec } = parseConfig(config);
  const limits = { maxRows: 1, maxOutputs: 1 };
  const { buffers } = buildDecoder(spec, { limits, slots: 1, contextLength: 8, matrixDType: () => 'f32' });
  const decls = new Map(buffers.map((decl) => [decl.name, decl]));
  const tensors: Parameters<ChangeTensors>[0] = new Map();
  for (const [buffer, parts] of family.weights(spec)) {
    const decl = decls.get(buffer);
    if (decl === undefined) throw new Error(`no buffer ${buffer}`);
    const isVector = decl.shape.length === 1 || buffer.includes('headNorm');
    const columns = decl.shape[decl.transposed ? 0 : 1] as number;
    for (const { tensor, tensorRows, plus = 0, shape: stored } of parts) {
      if (tensors.has(tensor)) continue;
      const shape = stored ?? (isVector ? [tensorRows] : [tensorRows, columns]);
      const size = shape.reduce((product, one) => product * one, 1);
      const middle = /norm/i.test(tensor) && tensor.endsWith('weight') ? 1 - plus : 0;
      const spread = isVector ? 0.2 : 1 / Math.sqrt(columns);
      const next = numbers(tensor);
      const data = Float32Array.from({ length: size }, () => middle + 2 * spread * next());
      tensors.set(tensor, { name: tensor, dtype: 'F32', shape, data });
    }
  }
  change(tensors);
  const weights = await encodeSafetensors([...tensors.values()]);
  return memoryFiles('random', { 'config.json': JSON.stringify(config), 'model.safetensors': weights });
}

/** Numbers in [-1, 1) that follow from a text (mulberry32). */
function numbers(text: string): () => number {
  let state = [...text].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}
