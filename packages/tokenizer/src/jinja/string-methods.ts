// The methods of Python's str. Text that is marked as HTML stays so: what is put into it is escaped.
import { lastPlaceOf, placeOf, placesOf, splitAt } from '../text-search.js';
import { bind, intArgument, type Parameters, textArgument } from './arguments.js';
import { charge, scan, step } from './budget.js';
import { formatText, type Lookup } from './format-spec.js';
import { escapeHtml } from './html.js';
import { sliced } from './operators.js';
import * as python from './text.js';
import {
  type Arguments,
  Callable,
  codePoints,
  Dict,
  iterate,
  Markup,
  NONE,
  PythonError,
  sequenceOf,
  type Text,
  Tuple,
  textOf,
  truth,
  typeName,
  type Value,
} from './values.js';

type Given = readonly (Value | undefined)[];
type Method = readonly [Parameters, (self: string, given: Given) => Value];

const plain = (run: (self: string) => Value): Method => [[], run];
const optionalText = (name: string, value: Value | undefined): string | undefined =>
  value === undefined || value === NONE ? undefined : textArgument(name, value);

function stripped(name: string, left: boolean, right: boolean): Method {
  return [['chars?'], (self, [chars]) => python.strip(self, optionalText(name, chars), left, right)];
}

function splitting(name: string, fromRight: boolean): Method {
  return [
    ['sep?', 'maxsplit?'],
    (self, [separator, most]) => {
      const by = optionalText(name, separator);
      if (by === '') throw new PythonError('ValueError', 'empty separator');
      return python.split(self, by, intArgument(name, most, -1), fromRight);
    },
  ];
}

/** The part of a text that `start` and `stop` leave, and how many characters are before it. */
function window(self: string, start: Value | undefined, stop: Value | undefined): { part: string; before: number } {
  if (start === undefined && stop === undefined) return { part: self, before: 0 };
  const part = sliced(self, [start ?? NONE, stop ?? NONE]);
  const before = sliced(self, [0, start ?? 0]);
  if (typeof part !== 'string' || typeof before !== 'string')
    throw new PythonError('TypeError', 'slice indices must be integers or None');
  return {
    part,
    before:
      start === undefined || start === NONE ? 0 : codePoints(self) - codePoints(String(sliced(self, [start, NONE]))),
  };
}

function finding(name: string, last: boolean, required: boolean): Method {
  return [
    ['sub', 'start?', 'end?'],
    (self, [sub, start, stop]) => {
      scan(self.length);
      const wanted = textArgument(name, sub);
      const { part, before } = window(self, start, stop);
      const at = last ? lastPlaceOf(part, wanted) : placeOf(part, wanted);
      if (at < 0 && required) throw new PythonError('ValueError', 'substring not found');
      return at < 0 ? -1 : before + python.codePointIndex(part, at);
    },
  ];
}

function affix(name: string, fits: (self: string, part: string) => boolean): Method {
  return [
    ['prefix', 'start?', 'end?'],
    (self, [given, start, stop]) => {
      const { part } = window(self, start, stop);
      const options = given instanceof Tuple ? given.items : [given];
      return options.some((option) => fits(part, textArgument(name, option)));
    },
  ];
}

function justified(name: string, place: 'left' | 'right' | 'center'): Method {
  return [
    ['width', 'fillchar?'],
    (self, [width, fill]) => {
      const by = fill === undefined ? ' ' : textArgument(name, fill);
      if (codePoints(by) !== 1)
        throw new PythonError('TypeError', 'the fill character must be exactly one character long');
      return justify(self, intArgument(name, width, 0), by, place);
    },
  ];
}

export function justify(self: string, width: number, fill: string, place: 'left' | 'right' | 'center'): string {
  const missing = Math.max(0, width - codePoints(self));
  charge(missing);
  // CPython's way to share out an odd number.
  const before = place === 'left' ? 0 : place === 'right' ? missing : Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(before) + self + fill.repeat(missing - before);
}

function parted(name: string, last: boolean): Method {
  return [
    ['sep'],
    (self, [separator]) => {
      const by = textArgument(name, separator);
      if (by === '') throw new PythonError('ValueError', 'empty separator');
      const at = last ? lastPlaceOf(self, by) : placeOf(self, by);
      if (at < 0) return new Tuple(last ? ['', '', self] : [self, '', '']);
      return new Tuple([self.slice(0, at), by, self.slice(at + by.length)]);
    },
  ];
}

const every = (pattern: RegExp): Method =>
  plain((self) => {
    scan(self.length);
    return pattern.test(self);
  });

const cased = /\p{Cased}/u;

export function replaceText(self: string, old: string, by: string, most: number): string {
  scan(self.length);
  const parts = old === '' ? ['', ...Array.from(self), ''] : splitAt(self, old);
  const count = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  charge(Math.max(0, self.length + count * (by.length - old.length)));
  if (count === parts.length - 1) return parts.join(by);
  return parts.slice(0, count + 1).join(by) + old + parts.slice(count + 1).join(old);
}

function counted(self: string, part: string): number {
  scan(self.length);
  if (part === '') return codePoints(self) + 1;
  let count = 0;
  for (const _ of placesOf(self, part)) {
    scan(64);
    count++;
  }
  return count;
}

const methods: Readonly<Record<string, Method>> = {
  upper: plain((self) => self.toUpperCase()),
  lower: plain((self) => self.toLowerCase()),
  casefold: plain((self) => self.replaceAll('ß', 'ss').toUpperCase().toLowerCase().replaceAll('ς', 'σ')),
  capitalize: plain(python.capitalize),
  title: plain(python.title),
  swapcase: plain(python.swapCase),
  strip: stripped('strip', true, true),
  lstrip: stripped('lstrip', true, false),
  rstrip: stripped('rstrip', false, true),
  split: splitting('split', false),
  rsplit: splitting('rsplit', true),
  splitlines: [['keepends?'], (self, [keep]) => python.splitLines(self, keep !== undefined && truth(keep))],
  partition: parted('partition', false),
  rpartition: parted('rpartition', true),
  find: finding('find', false, false),
  rfind: finding('rfind', true, false),
  index: finding('index', false, true),
  rindex: finding('rindex', true, true),
  count: [
    ['sub', 'start?', 'end?'],
    (self, [sub, start, stop]) => counted(window(self, start, stop).part, textArgument('count', sub)),
  ],
  startswith: affix('startswith', (self, part) => self.startsWith(part)),
  endswith: affix('endswith', (self, part) => self.endsWith(part)),
  replace: [
    ['old', 'new', 'count?'],
    (self, [old, by, count]) =>
      replaceText(self, textArgument('replace', old), textArgument('replace', by), intArgument('replace', count, -1)),
  ],
  removeprefix: [
    ['prefix'],
    (self, [given]) => {
      const part = textArgument('removeprefix', given);
      return self.startsWith(part) ? self.slice(part.length) : self;
    },
  ],
  removesuffix: [
    ['suffix'],
    (self, [given]) => {
      const part = textArgument('removesuffix', given);
      return self.endsWith(part) ? self.slice(0, self.length - part.length) : self;
    },
  ],
  ljust: justified('ljust', 'left'),
  rjust: justified('rjust', 'right'),
  center: justified('center', 'center'),
  zfill: [
    ['width'],
    (self, [width]) => {
      const missing = Math.max(0, intArgument('zfill', width, 0) - codePoints(self));
      charge(missing);
      const sign = /^[+-]/.test(self) ? self[0]! : '';
      return sign + '0'.repeat(missing) + self.slice(sign.length);
    },
  ],
  expandtabs: [['tabsize?'], (self, [size]) => expandTabs(self, intArgument('expandtabs', size, 8))],
  isdigit: every(
    /^[\p{Nd}\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]+$/u,
  ),
  isdecimal: every(/^\p{Nd}+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isascii: every(/^[\0-\x7f]*$/u),
  isspace: plain(python.isBlank),
  isprintable: every(/^[^\p{C}\p{Zs}\p{Zl}\p{Zp}]*$|^(?:[^\p{C}\p{Z}]| )*$/u),
  isidentifier: every(/^[\p{XIDS}_]\p{XIDC}*$/u),
  isupper: plain((self) => cased.test(self) && !/[\p{Ll}\p{Lt}]/u.test(self) && self === self.toUpperCase()),
  islower: plain((self) => cased.test(self) && !/[\p{Lu}\p{Lt}]/u.test(self)),
  istitle: plain((self) => cased.test(self) && self === python.title(self)),
  join: [['iterable'], (self, [items]) => joinText(self, items as Value)],
};

function expandTabs(self: string, size: number): string {
  let column = 0;
  let out = '';
  for (const char of self) {
    if (char === '\t') {
      const gap = size > 0 ? size - (column % size) : 0;
      charge(gap);
      out += ' '.repeat(gap);
      column += gap;
    } else {
      out += char;
      column = char === '\n' || char === '\r' ? 0 : column + 1;
    }
  }
  return out;
}

function joinText(self: string, items: Value): string {
  const texts: string[] = [];
  for (const item of iterate(items)) {
    step();
    const text = textOf(item);
    if (text === undefined)
      throw new PythonError('TypeError', `join(): item ${texts.length}: expected a string, got ${typeName(item)}`);
    charge(text.length + self.length);
    texts.push(text);
  }
  return texts.join(self);
}

/** Arguments that are put into the text, and so are escaped where it is HTML. */
const inserted = new Set(['replace', 'join', 'ljust', 'rjust', 'center']);
const joinable = (value: Value): Value => {
  const text = textOf(value);
  return text === undefined || value instanceof Markup ? value : escapeHtml(text);
};

function marked(value: Value): Value {
  if (typeof value === 'string') return new Markup(value);
  if (Array.isArray(value)) return value.map(marked);
  return value instanceof Tuple ? new Tuple(value.items.map(marked)) : value;
}

/** A bound method of a text. */
export function stringMethod(self: string | Text, name: string, lookup: Lookup): Callable | undefined {
  const html = self instanceof Markup;
  const text = typeof self === 'string' ? self : self.text;
  const wrap = (value: Value): Value => (html ? marked(value) : value);
  if (name === 'format') return new Callable(name, (args) => wrap(formatText(text, args, lookup, html)));
  if (name === 'format_map') {
    return new Callable(name, (args) => {
      const [mapping] = bind(name, ['mapping'], args);
      if (!(mapping instanceof Dict)) throw new PythonError('TypeError', 'format_map() expects a mapping');
      const named = new Map<string, Value>();
      for (const [key, value] of mapping.entries.values()) if (typeof key === 'string') named.set(key, value);
      return wrap(formatText(text, { positional: [], named }, lookup, html));
    });
  }
  if (html && name === 'unescape') return undefined;
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) return undefined;
  const [parameters, run] = method;
  return new Callable(name, (args: Arguments) => {
    step();
    scan(4 * text.length); // most go through the text, some by pattern
    let given: Given = bind(name, parameters, args);
    if (html && inserted.has(name))
      given = given.map((value) => {
        const items = sequenceOf(value);
        return items === undefined ? value && joinable(value) : items.map(joinable);
      });
    return wrap(run(text, given));
  });
}
