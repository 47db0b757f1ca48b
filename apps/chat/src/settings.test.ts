import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findSetting, parseNumber, settingTable, wholeFrom } from './settings.js';

describe('settings', () => {
  test.each(['topP', 'top-p', 'top_p', 'TOPP'])('%s is topP', (name) => expect(findSetting(name)?.key).toBe('topP'));

  test('an unknown name is nothing', () => expect(findSetting('heat')).toBeUndefined());

  test.each([
    ['temperature', 'hot', '--x: expected a number >= 0, got "hot".'],
    ['temperature', '-1', '--x: expected a number >= 0, got "-1".'],
    ['temperature', '', '--x: expected a number >= 0, got "".'],
    ['temperature', 'Infinity', '--x: expected a number >= 0, got "Infinity".'],
    ['topK', '1.5', '--x: expected a whole number >= 0, got "1.5".'],
    ['topP', '0', '--x: expected a number above 0 and up to 1, got "0".'],
    ['minP', '2', '--x: expected a number from 0 to 1, got "2".'],
    ['repetitionPenalty', '0', '--x: expected a number above 0, got "0".'],
    ['seed', '9007199254740993', '--x: expected a whole number, got "9007199254740993".'],
  ] as const)('%s %s is refused', (key, text, message) => {
    const rule = settingTable.find((setting) => setting.key === key)!;
    expect(() => parseNumber('--x', text, rule)).toThrow(message);
  });

  test('any number that fits is taken as it is', () => {
    fc.assert(
      fc.property(fc.nat(), (n) => {
        expect(parseNumber('x', String(n), wholeFrom(0))).toBe(n);
      }),
    );
  });
});
