// Reuse of neurons (ReLU Strikes Back, arXiv 2310.04564, 5.1): after a prompt, `interval` tokens mark the neurons that they
// use, the next `interval` compute none but those, and so on. Owns which token stands in which phase, and cutting a sequence
// into steps. Does not own the programs (decoder-builder.ts), nor who runs them (steps.ts).
import { anything, aWhole, checkOptions, checkValue, RelufyError } from '@relufy/tensor';
import type { ProgramOptions } from '../decoder/decoder-program.js';

export interface ReuseOptions {
  /** gamma: so many tokens load, and so many after them reuse. */
  readonly interval: number;
}

/** Of a sequence that is given whole. */
export interface SequenceReuse extends ReuseOptions {
  /** Tokens before the first window, computed as they are. Default 0. */
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
  if (call === 'generate') checkOptions<ReuseOptions>(`${call} reuse`, asked, { interval: anything });
  else checkOptions(`${call} reuse`, asked, { interval: anything, prompt: anything });
  checkValue(`${call} reuse "interval"`, asked.interval, aWhole(1));
  if (asked.prompt !== undefined) checkValue(`${call} reuse "prompt"`, asked.prompt, aWhole(0));
  if (!marks)
    throw new RelufyError(
      'state',
      `${call} reuse: expected a model that was loaded with { reuse: true }, or with a plan that says so, got one without. Load it so.`,
    );
  return asked;
}

/** The tokens [from, to) of a sequence in steps of at most `mostRows`, each in one phase. */
export function* stepSpans(from: number, to: number, mostRows: number, reuse?: SequenceReuse): Generator<StepSpan> {
  let at = from;
  while (at < to) {
    const { interval = to, prompt = 0 } = reuse ?? { prompt: to };
    const window = Math.floor((at - prompt) / interval);
    const first = prompt + window * interval;
    const end = Math.min(to, at + mostRows, at < prompt ? prompt : first + interval);
    const loads = window % 2 === 0;
    if (at < prompt) yield { from: at, to: end };
    else if (!loads) yield { from: at, to: end, phase: 'reuse' };
    else yield { from: at, to: end, phase: 'load', ...(at === first && { forgets: true }) };
    at = end;
  }
}
