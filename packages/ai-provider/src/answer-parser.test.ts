import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerParser, type AnswerPart } from './answer-parser.js';

const whole = { withCalls: true, thinking: false };

/** Neighbours of one kind put together. */
function parse(pieces: readonly string[], options = whole): AnswerPart[] {
  const parser = new AnswerParser(options);
  const parts: AnswerPart[] = [];
  for (const part of [...pieces.flatMap((piece) => [...parser.push(piece)]), ...parser.end()]) {
    const last = parts.at(-1);
    if (last?.kind === part.kind && 'text' in last && 'text' in part)
      parts[parts.length - 1] = { ...last, text: last.text + part.text } as AnswerPart;
    else parts.push(part);
  }
  return parts;
}

const answers: readonly [title: string, answer: string, parts: readonly AnswerPart[]][] = [
  ['text alone', 'Hello <b>you</b> < 3', [{ kind: 'text', text: 'Hello <b>you</b> < 3' }]],
  [
    'reasoning, then text',
    '<think>\nHm.\n</think>\n\nYes.',
    [
      { kind: 'reasoning', text: 'Hm.\n' },
      { kind: 'text', text: 'Yes.' },
    ],
  ],
  [
    'a call with the name first',
    'Wait.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Bo}nn \\"x\\"", "days": [1, 2]}}\n</tool_call>',
    [
      { kind: 'text', text: 'Wait.\n' },
      { kind: 'call', name: 'weather' },
      { kind: 'arguments', text: '{"city": "Bo}nn \\"x\\"", "days": [1, 2]}' },
      { kind: 'call-end', input: '{"city": "Bo}nn \\"x\\"", "days": [1, 2]}' },
    ],
  ],
  [
    'a call with the arguments first, as a text; then one without any',
    '<tool_call>{"arguments": "{\\"a\\":1}", "name": "f"}</tool_call><tool_call>{"name": "g"}</tool_call>',
    [
      { kind: 'call', name: 'f' },
      { kind: 'arguments', text: '{"a":1}' },
      { kind: 'call-end', input: '{"a":1}' },
      { kind: 'call', name: 'g' },
      { kind: 'arguments', text: '{}' },
      { kind: 'call-end', input: '{}' },
    ],
  ],
  [
    'a call that broke off is lost, and never half',
    '<tool_call>{"name": "f", "arguments": {"a": 1',
    [{ kind: 'call', name: 'f' }, { kind: 'arguments', text: '{"a": 1' }, { kind: 'call-lost' }],
  ],
  ['what is no call is lost', '<tool_call>f(1)</tool_call>', [{ kind: 'call-lost' }]],
];

describe.each(answers)('%s', (_, answer, parts) => {
  test('however it comes in pieces', () => {
    expect(parse([answer])).toEqual(parts);
    expect(parse([...answer])).toEqual(parts);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: answer.length }), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), answer.length];
        expect(parse(at.slice(1).map((end, i) => answer.slice(at[i], end)))).toEqual(parts);
      }),
      { numRuns: 50 },
    );
  });
});

test('without tools a call is text; where the template opened the tag, the answer begins with reasoning', () => {
  expect(parse(['<tool_call>x'], { withCalls: false, thinking: false })).toEqual([
    { kind: 'text', text: '<tool_call>x' },
  ]);
  expect(parse(['Hm.</think>Yes.'], { withCalls: false, thinking: true })).toEqual([
    { kind: 'reasoning', text: 'Hm.' },
    { kind: 'text', text: 'Yes.' },
  ]);
});
