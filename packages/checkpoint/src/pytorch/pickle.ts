// A restricted unpickler: runs the pickle machine of protocols 2 to 5 over a fixed set of names, and builds tensors'
// descriptions and nothing else. A pickle is a program; here it can call four things, none of which runs foreign code,
// and any other name in it is an error where it stands. Opcodes as in Python's Lib/pickletools.py.
// Owns: the machine and its limits. Does not own: whether a tensor fits its storage (open.ts).
import { show } from '@relufy/tensor';
import { decodeUtf8 } from '../byte-source.js';
import { malformed } from '../malformed.js';

/** A name that a pickle may mention. */
export class Global {
  constructor(readonly name: string) {}
}

/** dict and collections.OrderedDict, in the order written; keys may repeat (the reader decides). */
export class Dict {
  readonly entries: [unknown, unknown][] = [];
}

/** What `persistent_load` is asked for: ('storage', type, key, location, size). */
export class Persistent {
  constructor(readonly id: unknown) {}
}

/** A call of one of the names that build tensors, with its arguments. */
export class Call {
  constructor(
    readonly name: string,
    readonly args: readonly unknown[],
  ) {}
}

const orderedDict = 'collections.OrderedDict';
const callable = new Set(['torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_parameter', orderedDict]);
const storageName = /^torch(\.storage)?\.[A-Za-z0-9]+Storage$/;

/** Values on the stack, in the memo and in containers; far above any state dict, far below what would exhaust memory. */
const maxValues = 1_000_000;

/** What a list or a dict counts for by itself: its first item makes room for 17. */
const containerWeight = 4;

const mark = Symbol('mark');

/** Runs a pickle and gives what it leaves. */
export function unpickle(where: string, bytes: Uint8Array): unknown {
  return new Machine(where, bytes).run();
}

class Machine {
  readonly #where: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  #at = 0;
  /** Values inside tuples, lists and dicts, however they got there: copies count like what is written out. */
  #held = 0;

  constructor(where: string, bytes: Uint8Array) {
    this.#where = where;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): unknown {
    for (;;) {
      const at = this.#at;
      const opcode = String.fromCharCode(this.#u8());
      if (opcode === '.') {
        const result = this.#pop();
        if (this.#stack.length > 0) throw this.#error('expected one value at its end, got more');
        return result;
      }
      if (!this.#literal(opcode) && !this.#container(opcode) && !this.#call(opcode))
        throw this.#error(`opcode at ${at}, expected one that builds tensors, got ${show(opcode)}`);
      this.#hold(0);
    }
  }

  /** Counts values before they are put anywhere. */
  #hold(count: number): void {
    this.#held += count;
    if (this.#stack.length + this.#memo.size + this.#held > maxValues)
      throw this.#error(`expected at most ${maxValues} values, got more`);
  }

  #literal(opcode: string): boolean {
    switch (opcode) {
      case '\x80': {
        const protocol = this.#u8();
        if (protocol < 2 || protocol > 5) throw this.#error(`protocol, expected 2 to 5, got ${protocol}`);
        return true;
      }
      case '\x95': // FRAME: a hint for buffering
        this.#size(8);
        return true;
      case 'N':
        return this.#push(null);
      case '\x88':
        return this.#push(true);
      case '\x89':
        return this.#push(false);
      case 'K':
        return this.#push(this.#u8());
      case 'M':
        return this.#push(this.#size(2));
      case 'J':
        return this.#push(this.#view.getInt32(this.#take(4), true));
      case '\x8a':
        return this.#push(this.#long(this.#u8()));
      case 'G':
        return this.#push(this.#view.getFloat64(this.#take(8), false));
      case 'X':
        return this.#push(this.#text(this.#size(4)));
      case '\x8c':
        return this.#push(this.#text(this.#u8()));
      case '\x8d':
        return this.#push(this.#text(this.#size(8)));
      case 'U': // str of Python 2
        return this.#push(this.#text(this.#u8()));
      case 'T':
        return this.#push(this.#text(this.#size(4)));
      case 'C':
        return this.#push(this.#raw(this.#u8()));
      case 'B':
        return this.#push(this.#raw(this.#size(4)));
      default:
        return false;
    }
  }

  #container(opcode: string): boolean {
    switch (opcode) {
      case '(':
        return this.#push(mark);
      case '0':
        this.#stack.pop();
        return true;
      case '1':
        this.#popToMark();
        return true;
      case '2': {
        const top = this.#pop();
        this.#push(top);
        return this.#push(top);
      }
      case ')':
        return this.#push([]);
      case ']':
        this.#hold(containerWeight);
        return this.#push([]);
      case '\x85':
      case '\x86':
      case '\x87': {
        const count = opcode.charCodeAt(0) - 0x84;
        this.#hold(count);
        // as literals, since an array that grows takes room for 17
        const last = this.#pop();
        if (count === 1) return this.#push([last]);
        const second = this.#pop();
        return this.#push(count === 2 ? [second, last] : [this.#pop(), second, last]);
      }
      case 't':
      case 'l': {
        const items = this.#popToMark();
        this.#hold(items.length);
        return this.#push(items);
      }
      case 'a': {
        const item = this.#pop();
        this.#hold(1);
        this.#list().push(item);
        return true;
      }
      case 'e': {
        const items = this.#popToMark();
        const list = this.#list();
        this.#hold(items.length);
        for (const item of items) list.push(item);
        return true;
      }
      case '}':
        this.#hold(containerWeight);
        return this.#push(new Dict());
      case 'd': {
        const items = this.#popToMark();
        this.#hold(containerWeight);
        this.#push(new Dict());
        return this.#setItems(items);
      }
      case 's': {
        const value = this.#pop();
        return this.#setItems([this.#pop(), value]);
      }
      case 'u':
        return this.#setItems(this.#popToMark());
      case 'q':
        return this.#put(this.#u8());
      case 'r':
        return this.#put(this.#size(4));
      case '\x94':
        return this.#put(this.#memo.size);
      case 'h':
        return this.#get(this.#u8());
      case 'j':
        return this.#get(this.#size(4));
      default:
        return false;
    }
  }

  #call(opcode: string): boolean {
    switch (opcode) {
      case 'c':
        return this.#push(this.#global(this.#line(), this.#line()));
      case '\x93': {
        const name = this.#pop();
        return this.#push(this.#global(this.#pop(), name));
      }
      case 'Q':
        return this.#push(new Persistent(this.#pop()));
      case 'R': {
        const args = this.#pop();
        const callee = this.#pop();
        if (!(callee instanceof Global) || !callable.has(callee.name) || !Array.isArray(args))
          throw this.#error(
            `call, expected one that builds tensors, got ${callee instanceof Global ? show(callee.name) : 'another value'}`,
          );
        return this.#push(callee.name === orderedDict ? this.#orderedDict(args) : new Call(callee.name, args));
      }
      case 'b': // attributes of an OrderedDict (torch keeps `_metadata` there), which nobody reads
        this.#pop();
        if (!(this.#stack.at(-1) instanceof Dict))
          throw this.#error('attributes, expected on a dict, got them on another value');
        return true;
      default:
        return false;
    }
  }

  #global(module: unknown, name: unknown): Global {
    // lists that hold each other over and over have no end as text
    if (typeof module !== 'string' || typeof name !== 'string')
      throw this.#error('name, expected two texts, got other values');
    const full = `${module}.${name}`;
    if (!callable.has(full) && !storageName.test(full))
      throw malformed(
        this.#where,
        `name ${show(full)}, expected only those that build tensors, got one that could run code`,
        'Do not load this file with other tools either; if you trust it, save the bare state_dict again.',
      );
    return new Global(full);
  }

  #orderedDict(args: readonly unknown[]): Dict {
    const dict = new Dict();
    const pairs = Array.isArray(args[0]) ? (args[0] as unknown[]) : [];
    this.#hold(2 * pairs.length + containerWeight);
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2) throw this.#error('OrderedDict, expected pairs, got other values');
      dict.entries.push([pair[0], pair[1]]);
    }
    return dict;
  }

  #setItems(items: readonly unknown[]): boolean {
    const dict = this.#stack.at(-1);
    if (!(dict instanceof Dict) || items.length % 2 !== 0)
      throw this.#error('items, expected pairs for a dict, got others');
    this.#hold(items.length);
    for (let i = 0; i < items.length; i += 2) dict.entries.push([items[i], items[i + 1]]);
    return true;
  }

  #list(): unknown[] {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) throw this.#error('item, expected a list to take it, got another value');
    return list;
  }

  #push(value: unknown): boolean {
    this.#stack.push(value);
    return true;
  }

  #pop(): unknown {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) throw this.#error('expected a value on the stack, got none');
    return value;
  }

  #popToMark(): unknown[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw this.#error('expected a mark on the stack, got none');
    const items = this.#stack.splice(at);
    items.shift();
    return items;
  }

  #put(index: number): boolean {
    const value = this.#pop();
    this.#memo.set(index, value);
    return this.#push(value);
  }

  #get(index: number): boolean {
    if (!this.#memo.has(index)) throw this.#error(`memo ${index}, expected a value, got none`);
    return this.#push(this.#memo.get(index));
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.byteLength) throw this.#error(`expected ${length} bytes at ${at}, got its end`);
    this.#at += length;
    return at;
  }

  #u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  #size(bytes: 2 | 4 | 8): number {
    const at = this.#take(bytes);
    if (bytes === 2) return this.#view.getUint16(at, true);
    if (bytes === 4) return this.#view.getUint32(at, true);
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(this.#bytes.byteLength))
      throw this.#error(`length at ${at}, expected within the file, got ${value}`);
    return Number(value);
  }

  /** LONG1; integers that a number cannot hold stay as bigint, and no size of a tensor may be one. */
  #long(length: number): number | bigint {
    const bytes = this.#raw(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    value = BigInt.asIntN(length * 8, value);
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  #raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #text(length: number): string {
    return decodeUtf8(this.#where, this.#raw(length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > 1000) throw this.#error('name, expected at most 1000 bytes, got no end');
    const text = this.#text(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  #error(what: string): Error {
    return malformed(this.#where, `pickle, ${what}`);
  }
}
