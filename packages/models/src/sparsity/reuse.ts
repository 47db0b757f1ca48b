// Reuse of neurons (ReLU Strikes Back, arXiv 2310.04564, 5.1): after a prompt, `interval` tokens mark the neurons that they
// use, the next `interval` compute none but those, and so on. Owns which token stands in which phase, and cutting a sequence
// into steps. Does not own the programs (decoder-builder.ts), nor who runs them (steps.ts).
import { aBoolean, anything, aWhole, checkOptions, checkValue, RelufyError } from '@relufy/tensor';
import type { ProgramOptions } from '../decoder/decoder-program.js';

export interface ReuseOptions {
  /** gamma: so many tokens load, and so many after them reuse. */
  readonly interval: number;
  /**
   * The last `interval` tokens of the prompt load, those of an earlier turn among them, so that the first of an answer reuse.
   * Default: the first of an answer load.
   */
  readonly warmUp?: boolean;
}

/** Of a sequence that is given whole. */
export interface SequenceReuse extends ReuseOptions {
  /** Tokens before the first window, computed as they are (and, to warm up, the last of them marked). Default 0. */
  readonly prompt?: number;
}

/** Tokens [from, to) of one step. */
export interface StepSpan {
  readonly from: number;
  readonly to: number;
  /** Absent: computed as they are. */
  readonly phase?: ProgramOptions['phase'];
  /** A window that loads begins here: what was marked before counts no longer. */
  readonly forgets?: true;
}

/**
 * What a call asks for, or what the model's plan says. A generation knows its prompt by itself. `marks`: the model was
 * loaded with room for them.
 * @throws RelufyError `option` for windows that are no whole numbers of tokens, `state` without marks.
 */
export function reuseOf(
  call: 'generate' | 'forward' | 'score',
  asked: SequenceReuse | undefined,
  planned: ReuseOptions | undefined,
  marks: boolean,
): SequenceReuse | undefined {
  if (asked === undefined) return planned;
  if (call === 'generate') checkOptions<ReuseOptions>(`${call} reuse`, asked, { interval: anything, warmUp: aBoolean });
  else checkOptions(`${call} reuse`, asked, { interval: anything, warmUp: aBoolean, prompt: anything });
  checkValue(`${call} reuse "interval"`, asked.interval, aWhole(1));
  if (asked.prompt !== undefined) checkValue(`${call} reuse "prompt"`, asked.prompt, aWhole(0));
  if (!marks)
    throw new RelufyError(
      'state',
      `${call} reuse: expected a model that was loaded with { reuse: true }, or with a plan that says so, got one without. Load it so.`,
    );
  return asked;
}

/** Where the first window begins: before the sequence, where a prompt is shorter than one that warms up. */
export const firstWindow = ({ interval, prompt = 0, warmUp = false }: SequenceReuse): number =>
  warmUp && prompt > 0 ? prompt - interval : prompt;

/** The tokens [from, to) of a sequence in steps of at most `mostRows`, each in one phase. */
export function* stepSpans(from: number, to: number, mostRows: number, reuse?: SequenceReuse): Generator<StepSpan> {
  let at = from;
  while (at < to) {
    const { interval = to } = reuse ?? {};
    const begin = reuse === undefined ? to : firstWindow(reuse);
    const window = Math.floor((at - begin) / interval);
    const first = begin + window * interval;
    const end = Math.min(to, at + mostRows, at < begin ? begin : first + interval);
    const loads = window % 2 === 0;
    if (at < begin) yield { from: at, to: end };
    else if (!loads) yield { from: at, to: end, phase: 'reuse' };
    else yield { from: at, to: end, phase: 'load', ...(at === Math.max(0, first) && { forgets: true }) };
    at = end;
  }
}
