import { Command, CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { define as chat, wantsColor } from './commands/chat.js';
import { define as generate } from './commands/generate.js';
import { addLoadOptions, addSettingOptions, loadOptionsOf, settingsOf, speculationOf } from './options.js';

function parse(args: readonly string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ outputError: () => {} });
  addLoadOptions(command);
  addSettingOptions(command);
  return command.parse(args, { from: 'user' }).opts();
}

describe('options', () => {
  test('nothing given: the bundled model, and all defaults are left to it', () => {
    const values = parse([]);
    expect(values).toEqual({ model: 'llama-tales' });
    expect(loadOptionsOf({})).toEqual({});
    expect(settingsOf(values)).toEqual({});
  });

  test('settings and load options come out under the names of the library', () => {
    const values = parse(
      '-m ./m --threads 2 --dtype f32 --sparsity dense --context-length 64 --top-k 5 --no-repeat-ngram-size 3 --seed 0'.split(
        ' ',
      ),
    );
    expect(settingsOf(values)).toEqual({ topK: 5, noRepeatNgramSize: 3, seed: 0 });
    expect(loadOptionsOf(values)).toEqual({
      threads: 2,
      dtype: 'f32',
      sparsity: 'dense',
      contextLength: 64,
    });
  });

  test.each([
    ['--temperature', '-1', '--temperature: expected a number >= 0, got "-1".'],
    ['--threads', '1.5', '--threads: expected a whole number >= 1, got "1.5".'],
    ['--sparsity', 'some', '--sparsity: expected exact or dense, got "some".'],
  ])('%s %s is a usage error', (option, value, message) => {
    expect(() => parse([option, value])).toThrow(CommanderError);
    expect(() => parse([option, value])).toThrow(message);
  });

  test('who drafts: the text, the model itself by its neurons or a plan, or another model', () => {
    expect(speculationOf({})).toEqual({ options: {} });
    expect(speculationOf({ speculate: 'prompt' }).options).toEqual({ speculate: { draft: 'prompt' } });
    expect(speculationOf({ speculate: 'reuse', draftTokens: 3 }).options).toEqual({
      speculate: { draft: 'reuse', tokens: 3 },
    });
    expect(speculationOf({ speculate: 'plan:./teal' }).options).toEqual({
      draftPlan: './teal',
      speculate: { draft: 'plan' },
    });
    expect(speculationOf({ speculate: './small' })).toEqual({ options: {}, model: './small' });
    expect(() => speculationOf({ speculate: 'plan' })).toThrow(
      '--speculate: expected prompt, reuse, plan:PLAN or a model',
    );
    expect(() => speculationOf({ draftTokens: 3 })).toThrow('--draft-tokens: expected --speculate with it, got none.');
  });

  test('the subcommands define themselves without a clash', () => {
    for (const define of [chat, generate]) expect(() => define(new Command())).not.toThrow();
  });
});

test('colours: on a terminal, never with NO_COLOR, always with FORCE_COLOR', () => {
  expect(wantsColor({ isTTY: true }, {})).toBe(true);
  expect(wantsColor({}, {})).toBe(false);
  expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
  expect(wantsColor({ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false);
  expect(wantsColor({}, { FORCE_COLOR: '1' })).toBe(true);
  expect(wantsColor({ isTTY: true }, { FORCE_COLOR: '0' })).toBe(false);
});
