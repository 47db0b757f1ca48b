// The names that a part of a template sees: its own, and around them those of the template and the globals.
import type { Value } from './values.js';

export class Scope {
  readonly #values = new Map<string, Value>();

  constructor(readonly outer?: Scope) {}

  get(name: string): Value | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.outer) {
      const value = scope.#values.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}
