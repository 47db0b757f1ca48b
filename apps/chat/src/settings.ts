// The settings of an answer as people type them: their names, what values fit, what they mean. `/set` and the options
// of the command line both read this table, so a value is checked and refused in the same words everywhere.
// Does not own what a setting does (@relufy/models).
import { type GenerateOptions, RelufyError } from '@relufy/models';

/** Those options of `generate` that are one number each. */
export type SettingKey =
  | 'maxNewTokens'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'typicalP'
  | 'repetitionPenalty'
  | 'frequencyPenalty'
  | 'presencePenalty'
  | 'noRepeatNgramSize'
  | 'seed';

export type Settings = { readonly [key in SettingKey]?: NonNullable<GenerateOptions[key]> };

/** Which numbers fit, and how an error says so. */
export interface NumberRule {
  readonly expected: string;
  readonly fits: (value: number) => boolean;
}

export interface Setting extends NumberRule {
  readonly key: SettingKey;
  /** What stands for the value in a help text. */
  readonly placeholder: string;
  readonly help: string;
}

export const wholeFrom = (least: number): NumberRule => ({
  expected: `a whole number >= ${least}`,
  fits: (value) => Number.isSafeInteger(value) && value >= least,
});
const anyNumber: NumberRule = { expected: 'a number', fits: () => true };
const aboveZero: NumberRule = { expected: 'a number above 0', fits: (value) => value > 0 };
const share: NumberRule = { expected: 'a number above 0 and up to 1', fits: (value) => value > 0 && value <= 1 };
const setting = (key: SettingKey, placeholder: string, rule: NumberRule, help: string): Setting => ({
  key,
  placeholder,
  help,
  ...rule,
});

export const settingTable: readonly Setting[] = [
  setting('maxNewTokens', 'n', wholeFrom(0), 'longest answer, in tokens (default: as long as the context)'),
  setting(
    'temperature',
    't',
    { expected: 'a number >= 0', fits: (value) => value >= 0 },
    'how freely to choose; 0 always takes the likeliest token',
  ),
  setting('topP', 'p', share, 'choose among the likeliest tokens that together reach this probability'),
  setting('topK', 'k', wholeFrom(0), 'choose among the k likeliest tokens; 0: all'),
  setting(
    'minP',
    'p',
    { expected: 'a number from 0 to 1', fits: (value) => value >= 0 && value <= 1 },
    'drop tokens less likely than this fraction of the likeliest',
  ),
  setting('typicalP', 'p', share, 'locally typical sampling: keep this mass of the least surprising tokens'),
  setting('repetitionPenalty', 'r', aboveZero, 'above 1: avoid tokens that prompt or answer already have'),
  setting('frequencyPenalty', 'x', anyNumber, 'subtracted once for each time that the answer has a token'),
  setting('presencePenalty', 'x', anyNumber, 'subtracted once if the answer has a token'),
  setting('noRepeatNgramSize', 'n', wholeFrom(0), 'no n tokens in a row come twice; 0: off'),
  setting(
    'seed',
    'n',
    { expected: 'a whole number', fits: (value) => Number.isSafeInteger(value) },
    'same seed, same text, at any number of threads (default: random)',
  ),
];

/** The setting of that name, written `topP`, `top-p` or `top_p`. */
export function findSetting(name: string): Setting | undefined {
  const plain = (text: string) => text.replaceAll(/[-_]/g, '').toLowerCase();
  return settingTable.find(({ key }) => plain(key) === plain(name));
}

/**
 * The number that a text says.
 * @throws RelufyError `option`, beginning with `where`.
 */
export function parseNumber(where: string, text: string, rule: NumberRule): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || !rule.fits(value))
    throw new RelufyError('option', `${where}: expected ${rule.expected}, got ${JSON.stringify(text)}.`);
  return value;
}
