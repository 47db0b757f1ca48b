import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { random } from '../../checkpoint/testing/craft.js';
import { compileTemplate } from './jinja/template.js';
import { StopMatcher } from './stop.js';
import { altered, caught } from './testing.js';
import { lastPlaceOf, placeOf, splitAt } from './text-search.js';

it('finds what the engine finds', () => {
  for (let seed = 0; seed < 3000; seed++) {
    const next = random(seed);
    const word = (most: number): string =>
      Array.from({ length: Math.floor(next() * most) }, () => 'ab'[Number(next() < 0.2)]).join('');
    const [part, more] = [word(40), word(60)];
    const text = next() < 0.5 ? more + part + part.slice(0, 9) + part + more : word(300);
    const got = [placeOf(text, part), lastPlaceOf(text, part), splitAt(text, part)];
    expect(got, JSON.stringify([text, part])).toEqual([text.indexOf(part), text.lastIndexOf(part), text.split(part)]);
  }
});

describe('a long text that nearly repeats', () => {
  const length = 400_000;
  const text = 'a'.repeat(length);
  const late = `${text.slice(length / 2)}b`;
  const early = `ab${text.slice(length / 2)}`;
  const tag = '<|x|>';
  const taking = (run: () => unknown) => cpuSeconds(() => void caught(run));

  it('is searched from both sides', async () => {
    for (const part of [late, early]) {
      expect(await taking(() => placeOf(text, part))).toBeLessThan(1);
      expect(await taking(() => lastPlaceOf(text, part))).toBeLessThan(1);
      expect(await taking(() => splitAt(text, part))).toBeLessThan(1);
    }
  });

  it.each([
    ...['z in x', 'x.find(z)', 'x.rfind(z)', 'x.rindex(z)', 'x.count(z)', 'x.split(z)', 'x.rsplit(z, 1)'],
    ...['x.partition(z)', 'x.rpartition(z)', 'x.replace(z, "")', 'x | replace(z, "")', 'x.removesuffix(z)'],
    ...['(x ~ " " ~ x ~ " " * 200000).split(none, 1)'],
  ])('costs a template no more than its length: %s', async (expression) => {
    for (const z of [late, early])
      expect(await taking(() => compileTemplate(`{{ ${expression} }}`)({ x: text, z }))).toBeLessThan(1);
  });

  it('costs a text that arrives in pieces no more than each piece', async () => {
    const matcher = new StopMatcher([early, `${' '.repeat(length)}x`]);
    const run = () => {
      for (let i = 0; i < 3000; i++) matcher.push(' a');
    };
    expect(await cpuSeconds(run)).toBeLessThan(1);
  });

  it('costs a tokenizer no more than its length, nor a message that is gone on with', async () => {
    const pattern = { String: early.slice(0, 10_000) };
    const replaced = altered({ normalizer: { type: 'Replace', pattern, content: 'x' } });
    expect(await taking(() => replaced.encode(text))).toBeLessThan(2);
    const messages = [{ role: 'user', content: text } as const, { role: 'assistant', content: early } as const];
    const template = `{% for m in messages %}${tag}{{ m.content }}{% endfor %}`;
    const chat = () => altered({}).applyChatTemplate(messages, { template, continueFinalMessage: true });
    expect(await taking(chat)).toBeLessThan(1);
    expect(chat()).toBe(`${tag}${text}${tag}${early}`);
  });
});
