// Reads the golden checkpoints of ../shared/golden for tests, and compares within the bound that they state.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { shared } from '../../../../tools/testing/shared.js';
import type { RelufyOptions } from '../index.js';

export interface Golden {
  readonly inputIds: readonly number[];
  readonly greedy: readonly number[];
  /** Every f32 tensor, by name. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

/** Every case below `../shared/FOLDER`, whatever the format of its weights, as a path below `../shared`. */
export function goldenCases(folder: string): string[] {
  return readdirSync(shared(folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(shared(`${folder}/${entry.name}/golden.safetensors`)))
    .map((entry) => `${folder}/${entry.name}`);
}

export async function readGolden(name: string): Promise<Golden> {
  return readGoldenFile(shared(`${name}/golden.safetensors`));
}

export function readGoldenFile(path: string): Golden {
  return {
    inputIds: readIntegers(path, 'input_ids'),
    greedy: readIntegers(path, 'greedy'),
    tensors: readTensors(path),
  };
}

/** Every f32 tensor of a safetensors file. */
export function readTensors(path: string): Map<string, Float32Array> {
  const { header, read } = open(path);
  const names = Object.keys(header).filter((tensor) => header[tensor]?.dtype === 'F32');
  return new Map(names.map((tensor) => [tensor, new Float32Array(read(tensor))]));
}

/** An i32 tensor of a safetensors file. */
export const readIntegers = (path: string, tensor: string): number[] => [...new Int32Array(open(path).read(tensor))];

function open(path: string) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; data_offsets: [number, number] }> = JSON.parse(
    bytes.subarray(8, start).toString(),
  );
  const read = (tensor: string) => {
    const {
      data_offsets: [from, to],
    } = header[tensor] as { data_offsets: [number, number] };
    return bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to);
  };
  return { header, read };
}

/** What was done to the Hugging Face model after loading (notes.json), as our options. */
export function relufyOf(name: string): RelufyOptions | undefined {
  if (name.includes('stage2')) return { stage: 2 };
  if (name.endsWith('llama-shifted-relu')) return { stage: 1, shift: 0.4 };
  return undefined;
}

/** Within `tolerance` of the expected tensor's own largest value. Gives the error relative to it. */
export function expectWithin(what: string, actual: Float32Array, expected: Float32Array, tolerance: number): number {
  expect(actual.length, what).toBe(expected.length);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i] as number));
    const error = Math.abs((actual[i] as number) - (expected[i] as number));
    worst = error > worst || Number.isNaN(error) ? error : worst;
  }
  if (!(worst <= tolerance * largest)) expect.fail(`${what}: off by ${worst}, largest value ${largest}`);
  return worst / largest;
}

/** As one comparison of bytes: element by element, `toEqual` takes longer than the model. */
export function expectSameBits(what: string, actual: Float32Array, expected: Float32Array): void {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
  if (bytes(actual).equals(bytes(expected))) return;
  expect(actual, what).toEqual(expected);
  expect.fail(`${what}: equal numbers of other bits (-0 and 0, or another NaN)`);
}
