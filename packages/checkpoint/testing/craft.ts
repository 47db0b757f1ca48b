// Builds small files for tests, right ones and wrong ones, byte by byte.
import { RelufyError } from '@relufy/tensor';
import { expect } from 'vitest';
import type { ByteSource, ModelFiles } from '../src/index.js';

/** A safetensors file of a header (text or JSON value) and data. */
export function safetensors(header: unknown, data: Uint8Array | number, headerLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const body = typeof data === 'number' ? new Uint8Array(data).map((_, i) => i) : data;
  const out = new Uint8Array(8 + text.byteLength + body.byteLength);
  new DataView(out.buffer).setBigUint64(0, headerLength ?? BigInt(text.byteLength), true);
  out.set(text, 8);
  out.set(body, 8 + text.byteLength);
  return out;
}

export const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

export function f32(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

export function floats(bytes: Uint8Array): number[] {
  return [...new Float32Array(bytes.slice().buffer)];
}

/** Runs something that must fail, and gives the message of its one RelufyError. */
export async function messageOf(run: () => Promise<unknown>, code = 'checkpoint'): Promise<string> {
  const error = await run().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RelufyError);
  const { message, code: actual } = error as RelufyError;
  expect(actual, message).toBe(code);
  // where: what, expected, got. Remedy.
  expect(message).toMatch(/^[^\n]+: [^\n]+\.$/);
  return message;
}

/** Wraps files so that every read is counted. */
export function counted(files: ModelFiles): {
  files: ModelFiles;
  bytes: () => number;
  largest: () => number;
  open: () => number;
} {
  let bytes = 0;
  let largest = 0;
  let opened = 0;
  const wrap = (source: ByteSource): ByteSource => {
    opened++;
    return {
      name: source.name,
      size: source.size,
      read(offset, length, signal) {
        bytes += length;
        largest = Math.max(largest, length);
        return source.read(offset, length, signal);
      },
      close() {
        opened--;
        return source.close();
      },
    };
  };
  const open: ModelFiles['open'] = async (file, signal) => {
    const source = await files.open(file, signal);
    return source && wrap(source);
  };
  return {
    files: { ...files, open, readText: files.readText },
    bytes: () => bytes,
    largest: () => largest,
    open: () => opened,
  };
}

/** A small generator with a seed (mulberry32), so that a failing case can be named by its number. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A copy with one to four things changed: bits, bytes, runs, numbers in the text, the length, the end. */
export function mutate(original: Uint8Array, next: () => number, textEnd = original.byteLength): Uint8Array {
  const pick = (below: number): number => Math.floor(next() * below);
  let bytes = original.slice();
  for (let change = 1 + pick(4); change > 0 && bytes.byteLength > 0; change--) {
    const at = next() < 0.7 ? pick(Math.min(textEnd, bytes.byteLength)) : pick(bytes.byteLength);
    switch (pick(8)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
        break;
      case 1:
        bytes[at] = pick(256);
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = joined(bytes, new Uint8Array(pick(64)));
        break;
      case 4: // a length or an offset becomes extreme
        for (let i = 0; i < 8 && at + i < bytes.byteLength; i++) bytes[at + i] = i < pick(8) ? 0xff : 0;
        break;
      case 5: // a run is repeated
        bytes.copyWithin(at, pick(bytes.byteLength), pick(bytes.byteLength));
        break;
      case 6: // another digit, or a structural character where another was
        bytes[at] = '0123456789[]{},:"-.e\\'.charCodeAt(pick(21));
        break;
      default: {
        const cut = pick(16);
        bytes = joined(bytes.subarray(0, at), bytes.subarray(at + cut));
      }
    }
  }
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.byteLength + b.byteLength);
  out.set(a);
  out.set(b, a.byteLength);
  return out;
}
