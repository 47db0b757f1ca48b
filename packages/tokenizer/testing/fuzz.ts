// Damage for tokenizer.json and chat templates, the same for the same seed, and what must hold of each damaged one: an
// answer or one RelufyError, soon. RELUFY_FUZZ=N raises the count (packages/checkpoint/testing/fuzz.mjs does so).
import { RelufyError } from '@relufy/tensor';
import { mutate, random } from '../../checkpoint/testing/craft.js';

export const rounds = (count: number): number => Number(process.env.RELUFY_FUZZ ?? 0) || count;

/** Processor time for one file, on a machine that is busy; most take a thousandth. */
const SECONDS = 2;

/** JavaScript's words for a mistake of our own. */
const ours = /Cannot read|is not a function|is not iterable \(|internal:|Maximum call stack/;

/** Whether it ended with an answer. @throws Error for any other error, or for one that is long, or late. */
export function survives(seed: number, run: () => void): boolean {
  const began = process.cpuUsage();
  let answered = true;
  try {
    run();
  } catch (error) {
    answered = false;
    if (!RelufyError.is(error) || error.message.length > 2000 || ours.test(error.message))
      throw new Error(`seed ${seed}`, { cause: error });
  }
  const seconds = process.cpuUsage(began).user / 1e6;
  if (seconds > SECONDS) throw new Error(`seed ${seed}: took ${seconds.toFixed(1)} s`);
  return answered;
}

const hostileJson = [
  ...[
    'null',
    'true',
    '"x"',
    '""',
    '[]',
    '{}',
    '[[1]]',
    '{"type":"x"}',
    '0',
    '-1',
    '1',
    '2',
    '1e308',
    '4294967296',
    'NaN',
  ],
  ...[
    '9007199254740993',
    '100000',
    `"${'y'.repeat(10_000)}"`,
    `[${Array(2000).fill(1)}]`,
    '"\\ud800"',
    '"▁"',
    '[0, 1]',
  ],
  ...[
    '{"String":""}',
    '{"Regex":"(a+)+$"}',
    '{"Regex":"(?=(a*)*b)"}',
    '{"Regex":""}',
    '{"Regex":"["}',
    '{"String":"a"}',
  ],
  ...[
    '"BPE"',
    '"Unigram"',
    '"WordPiece"',
    '"Sequence"',
    '"Replace"',
    '"Split"',
    '"ByteLevel"',
    '"Strip"',
    '"Metaspace"',
  ],
  ...['{"type":"Prepend","prepend":"aaaa"}', '{"type":"Replace","pattern":{"String":"a"},"content":"aa"}', '"always"'],
];
const jsonValue = /(?<=[:[,]\s*)(?:"(?:[^"\\]|\\.)*"|-?[\d.]+(?:e[+-]?\d+)?|true|false|null|\[[^[\]]*\]|\{[^{}]*\})/g;

const hostileTemplate = [
  ...[
    '{% for i in range(9999) %}',
    '{% endfor %}',
    '{% if x %}',
    '{% else %}',
    '{% endif %}',
    '{{',
    '}}',
    '{%',
    '%}',
    '{#',
  ],
  ...[
    '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}',
    '{% set x = x ~ x %}',
    '{% set x = [x, x] %}',
    '-%}',
    '{%- ',
  ],
  ...[
    '"',
    "'",
    '\\',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ' | ',
    '.',
    ' is ',
    ' not ',
    ' in ',
    ' * ',
    ' ** ',
    ' % ',
    '~',
    ':',
    ',',
  ],
  ...[
    '| tojson',
    '| list',
    '| join("x" * 99999)',
    '| replace("", "xx")',
    '| map("upper")',
    '[::-1]',
    '.items()',
    '()',
    '[0]',
  ],
  ...[' * 1000000000', ' ** 99999', '| center(1000000000)', '.format(1)', ' % 1', '| indent(99999)', '| batch(99999)'],
  ...[
    'none',
    'messages',
    'loop',
    'namespace()',
    'caller()',
    'messages[0]',
    '1e308',
    '"%s"',
    '"{}"',
    'range(99999)',
    '1.5',
  ],
];
const templateWord = /\{[{%#]-?|-?[}%#]\}|"[^"]*"|'[^']*'|\w+|[^\w\s]/g;

/** A text with a few of its words exchanged, doubled or dropped, or some of its bytes changed. */
function damaged(text: string, seed: number, word: RegExp, hostile: readonly string[]): string {
  const next = random(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  if (next() < 0.1) return new TextDecoder().decode(mutate(new TextEncoder().encode(text), next));
  let out = text;
  for (let changes = 1 + pick(4); changes > 0; changes--) {
    const places = [...out.matchAll(word)];
    const place = places[pick(places.length)];
    if (place === undefined) break;
    const after = place.index + place[0].length;
    const fresh = [hostile[pick(hostile.length)]!, '', place[0] + hostile[pick(hostile.length)]!, place[0] + place[0]];
    out = out.slice(0, place.index) + fresh[next() < 0.6 ? 0 : pick(fresh.length)]! + out.slice(after);
  }
  return out;
}

export const damagedJson = (text: string, seed: number): string => damaged(text, seed, jsonValue, hostileJson);
export const damagedTemplate = (text: string, seed: number): string =>
  damaged(text, seed, templateWord, hostileTemplate);
