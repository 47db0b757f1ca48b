// Calls of tools, without a model: what a form of calls lets through.
import { createTokenizer } from '@relufy/tokenizer';
import { describe, expect, it } from 'vitest';
import { constraints, model, stop, tokenizer, vocabSize, walk } from '../testing/form-walk.js';
import { type ConstraintOptions, Constraints } from './constraint.js';

describe('calls of tools', () => {
  const tools = [
    {
      type: 'function' as const,
      function: {
        name: 'weather',
        parameters: { type: 'object', properties: { city: { enum: ['Rome', 'Oslo'] } }, required: ['city'] },
      },
    },
    { type: 'function' as const, function: { name: 'now' } },
  ];
  const call = String.raw`<tool_call>\n\{"name": "(?:weather|now)", "arguments": [^<]*\}\n</tool_call>`;

  it('are made where they must be', () => {
    const found = Array.from({ length: 10 }, (_, seed) => walk({ tools, toolChoice: 'required' }, seed)).filter(
      (one) => one !== undefined,
    );
    expect(found.length).toBeGreaterThan(5);
    for (const one of found) {
      expect(one).toMatch(new RegExp(`^${call}(?:\n${call})*$`));
      for (const [, json] of one.matchAll(/<tool_call>\n(.*?)\n<\/tool_call>/gs)) {
        const { name: called, arguments: given } = JSON.parse(json as string) as { name: string; arguments: unknown };
        if (called === 'now') expect(given).toEqual({});
        else expect(['Rome', 'Oslo']).toContain((given as { city: string }).city);
      }
    }
    const single = walk({ tools, toolChoice: { name: 'now' }, parallelToolCalls: false, toolCallFormat: 'llama' }, 1);
    expect(JSON.parse(single as string)).toEqual({ name: 'now', parameters: {} });
  });

  it('stand in one list after a special token where Mistral writes them', () => {
    const options = { tools, toolCallFormat: 'mistral' } as const;
    const forced = Array.from({ length: 10 }, (_, seed) => walk({ ...options, toolChoice: 'required' }, seed)).filter(
      (one) => one !== undefined,
    );
    expect(forced.length).toBeGreaterThan(5);
    for (const one of forced) {
      expect(one.startsWith('[TOOL_CALLS][')).toBe(true);
      const list = JSON.parse(one.slice('[TOOL_CALLS]'.length)) as { name: string; arguments: object }[];
      for (const { name: called } of list) expect(['weather', 'now']).toContain(called);
    }
    // as in Mistral's vocabularies, the mark is one token, which no other form may use
    const definition = JSON.parse(model('tokenizer.json')) as { added_tokens: object[] };
    const id = vocabSize;
    definition.added_tokens.push({ ...definition.added_tokens[0], id, content: '[TOOL_CALLS]', special: true });
    const marked = createTokenizer({
      name: 'marked',
      tokenizerJson: JSON.stringify(definition),
      tokenizerConfig: model('tokenizer_config.json'),
    });
    const ofMarked = new Constraints(marked, vocabSize + 1);
    const allows = (form: ConstraintOptions) => {
      const logits = new Float32Array(vocabSize + 1);
      const constraint = ofMarked.open(form, new Set([stop]))!;
      constraint.mask(logits);
      return { isAllowed: logits[id] === 0, constraint };
    };
    const { isAllowed, constraint } = allows(options);
    expect(isAllowed).toBe(true);
    constraint.accept(id);
    const logits = new Float32Array(vocabSize + 1);
    constraint.mask(logits);
    const next = [...logits.keys()].filter((token) => logits[token] === 0);
    expect(next.length).toBeGreaterThan(0);
    expect(new Set(next.map((token) => String.fromCharCode(marked.tokenBytes(token)[0] as number)))).toEqual(
      new Set('['),
    );
    expect(allows({ tools }).isAllowed).toBe(false);
    expect(allows({ grammar: 'root ::= [^a]*' }).isAllowed).toBe(false);
  });

  it('may follow a text, which is free up to their mark', () => {
    const constraint = constraints.open({ tools }, new Set([stop]))!;
    const take = (text: string) => {
      for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
        const logits = new Float32Array(vocabSize);
        constraint.mask(logits);
        if (logits[id] !== 0) return false;
        constraint.accept(id);
      }
      return true;
    };
    expect(take('One <tool_ca and then <<tool_call>')).toBe(true);
    expect(constraint.isComplete).toBe(false);
    expect(take('\n{"name": "now", "arguments": {}}\n</tool_call>')).toBe(true);
    expect(constraint.isComplete).toBe(true);
    expect(take('x')).toBe(false);
  });

  it('are refused without a tool to call', () => {
    const open = (toolChoice: 'auto' | { name: string } | 'maybe') => () =>
      constraints.open({ tools, toolChoice: toolChoice as 'auto' }, new Set());
    expect(open({ name: 'other' })).toThrowError(/expected a tool "other", got/);
    expect(open('maybe')).toThrowError(/toolChoice/);
  });
});
