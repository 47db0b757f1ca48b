// Keys that a client must show. Only their hashes are kept, every one is compared, in constant time, and none is ever
// written anywhere. Does not own which routes are open.
import { createHash, timingSafeEqual } from 'node:crypto';

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();

export class ApiKeys {
  readonly #hashes: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#hashes = keys.map(hash);
  }

  get isOpen(): boolean {
    return this.#hashes.length === 0;
  }

  /** Who shows the key, as a name that says nothing about it: its place in the list. Undefined: nobody we know. */
  clientOf(headers: Headers): string | undefined {
    if (this.isOpen) return 'anyone';
    const given = hash(shown(headers) ?? '');
    let found: number | undefined;
    this.#hashes.forEach((known, at) => {
      if (timingSafeEqual(known, given)) found = at;
    });
    return found === undefined ? undefined : `key ${found + 1}`;
  }
}

function shown(headers: Headers): string | undefined {
  const bearer = /^Bearer[ ]+(.+)$/i.exec(headers.get('authorization') ?? '')?.[1];
  return bearer ?? headers.get('x-api-key') ?? headers.get('api-key') ?? undefined;
}
