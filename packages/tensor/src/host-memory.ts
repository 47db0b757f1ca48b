// Reading, writing and copying buffers: what sessions over host memory share, and how callers wait for those that have
// their memory elsewhere (a GPU, a file). Owns ranges and their errors. Does not own any memory.
import type { BufferPlace, BufferRange, BufferView, MaybePromise } from './backend.js';
import { RelufyError, show } from './errors.js';

/** What shows its memory, or can be read. */
interface Readable {
  view?(buffer: string): BufferView;
  read(buffer: string, from?: number, to?: number): MaybePromise<BufferView>;
}

/**
 * Elements [from, to) of a buffer, to be used before the next step and not written to: the memory itself where it is shown,
 * a copy elsewhere.
 */
export function elementsOf(source: Readable, buffer: string, from = 0, to?: number): MaybePromise<BufferView> {
  return source.view ? source.view(buffer).subarray(from, to) : source.read(buffer, from, to);
}

/** Waits for those that are promises; undefined where there are none, so that nobody waits for nothing. */
export function pendingOf(results: readonly MaybePromise<unknown>[]): Promise<unknown> | undefined {
  const promises = results.filter((result) => result instanceof Promise);
  return promises.length > 0 ? Promise.all(promises) : undefined;
}

/** A copy of elements [from, to). */
export function readElements(name: string, view: BufferView, from = 0, to = view.length): BufferView {
  checkRange(name, view, from, to);
  return view.slice(from, to);
}

function checkRange(name: string, { length }: BufferView, from: number, to: number): void {
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= length))
    throw new RelufyError(
      'input',
      `buffer ${show(name)}: expected elements within 0 to ${length}, got ${from} to ${to}.`,
    );
}

/** The session over memory that JavaScript sees: `view` is its own to say. */
export abstract class HostMemory {
  abstract view(buffer: string): BufferView;

  read(buffer: string, from?: number, to?: number): BufferView {
    return readElements(buffer, this.view(buffer), from, to);
  }

  write(buffer: string, values: ArrayLike<number>, at = 0): void {
    const view = this.view(buffer);
    checkRange(buffer, view, at, at + values.length);
    view.set(values, at);
  }

  copy({ buffer, at, count }: BufferRange, to: BufferPlace): void {
    const [source, target] = [this.view(buffer), this.view(to.buffer)];
    checkRange(buffer, source, at, at + count);
    checkRange(to.buffer, target, to.at, to.at + count);
    if (source.constructor !== target.constructor)
      throw new RelufyError(
        'input',
        `buffer ${show(to.buffer)}: expected the format of ${show(buffer)}, which is copied to it, got another.`,
      );
    if (buffer === to.buffer) target.copyWithin(to.at, at, at + count);
    else target.set(source.subarray(at, at + count), to.at);
  }
}
