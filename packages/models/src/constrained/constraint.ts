// What holds an answer to a form: a JSON Schema, a grammar or calls of tools, as a mask over the logits of each token. A
// grammar is compiled once and its states are kept, so that the next answer of the same form begins where this one learnt.
// Does not own the languages (json-schema.ts, gbnf.ts, tool-calls.ts) nor the choice of a token (sampling.ts).
import { RelufyError, show } from '@relufy/tensor';
import type { Tokenizer } from '@relufy/tokenizer';
import type { Logits } from '../generation/sampling.js';
import { Automaton, type State } from './automaton.js';
import { parseGbnf } from './gbnf.js';
import { compileGrammar, type Grammar } from './grammar.js';
import { compileJsonSchema, type JsonSchema } from './json-schema.js';
import { sortedVocabulary, TokenMasks } from './token-masks.js';
import { compileToolCalls, type ToolCallFormat, type ToolCallOptions, toolCallFormatOf } from './tool-calls.js';

export interface ConstraintOptions extends Partial<ToolCallOptions> {
  /**
   * The answer is JSON that fits the schema, or ends for its length. Properties come in the schema's order; others only where
   * `additionalProperties` allows them by name. `true`: any JSON. Beside tools, an answer is that or calls.
   */
  readonly jsonSchema?: JsonSchema;
  /** The answer fits this grammar, in llama.cpp's GBNF, from its rule `root` on. Beside tools, so does an answer without a call. */
  readonly grammar?: string;
}

/** One answer on its way through a grammar. */
export class Constraint {
  readonly #masks: TokenMasks;
  readonly #tokenizer: Tokenizer;
  readonly #stops: ReadonlySet<number>;
  #state: State;

  /** `stops`: ids that end an answer; they may come where the grammar may end. */
  constructor(masks: TokenMasks, tokenizer: Tokenizer, stops: ReadonlySet<number>) {
    this.#masks = masks;
    this.#tokenizer = tokenizer;
    this.#stops = stops;
    this.#state = masks.automaton.start;
  }

  /** Nothing can follow. */
  get isEnd(): boolean {
    return this.#state.isEnd;
  }

  /** What came so far is a whole sentence. */
  get isComplete(): boolean {
    return this.#state.isComplete;
  }

  /** Sets the logits of whatever may not come next to -Infinity. */
  mask(logits: Logits): void {
    const allowed = this.#masks.maskOf(this.#state);
    const { isComplete } = this.#state;
    const stops = [...this.#stops].map((id) => [id, logits[id] as number] as const);
    for (let word = 0; word < allowed.length; word++) {
      const bits = allowed[word] as number;
      if (bits === -1 >>> 0) continue;
      const last = Math.min(logits.length, word * 32 + 32);
      for (let id = word * 32; id < last; id++)
        if (((bits >>> (id & 31)) & 1) === 0) logits[id] = Number.NEGATIVE_INFINITY;
    }
    for (const [id, logit] of stops) logits[id] = isComplete ? logit : Number.NEGATIVE_INFINITY;
  }

  /** The token was chosen; one that ends the answer changes nothing. */
  accept(id: number): void {
    if (this.#stops.has(id)) return;
    const next = this.#masks.stateAfter(this.#state, this.#tokenizer.tokenBytes(id));
    if (next === null) throw new Error(`internal: token ${id} was chosen against the grammar`);
    this.#state = next;
  }
}

/** Forms that are kept compiled, and what their automata may hold together. */
const mostKept = 64;
const mostHeld = 2_000_000;

/** Of one model: compiles what is asked for, once. */
export class Constraints {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #vocabSize: number;
  /** The least recently used first. */
  readonly #kept = new Map<string, TokenMasks>();

  constructor(tokenizer: Tokenizer | undefined, vocabSize: number) {
    this.#tokenizer = tokenizer;
    this.#vocabSize = vocabSize;
  }

  /**
   * undefined where nothing is asked for.
   * @throws RelufyError `option` for a form that cannot be kept, or several of them; `state` without a tokenizer.
   */
  open(options: ConstraintOptions, stops: ReadonlySet<number>): Constraint | undefined {
    const { jsonSchema, grammar, tools, toolChoice, parallelToolCalls, toolCallFormat } = options;
    const callsTools = tools !== undefined && tools.length > 0 && toolChoice !== 'none';
    const asked = [jsonSchema !== undefined && 'jsonSchema', grammar !== undefined && 'grammar', callsTools && 'tools'];
    const [how] = asked.filter((name) => name !== false);
    if (how === undefined) return undefined;
    if (jsonSchema !== undefined && grammar !== undefined)
      throw new RelufyError(
        'option',
        'generate options "jsonSchema" and "grammar": expected one of them, got both. Leave one out.',
      );
    if (this.#tokenizer === undefined)
      throw new RelufyError('state', `generate option "${how}": the model has no tokenizer. Add its tokenizer.json.`);
    const where = `generate option "${how}"`;
    const form = [
      how,
      jsonSchema,
      grammar,
      ...(callsTools ? [tools, toolChoice, parallelToolCalls, toolCallFormat] : []),
    ];
    const key = textOf(where, form);
    const masks =
      this.#kept.get(key) ??
      this.#compile(where, callsTools ? toolCallFormatOf(options) : undefined, () => {
        const answer =
          grammar !== undefined
            ? parseGbnf(where, grammar)
            : jsonSchema !== undefined
              ? compileJsonSchema(where, jsonSchema)
              : undefined;
        if (!callsTools && answer !== undefined) return answer;
        return compileToolCalls('generate option "tools"', { ...options, tools: tools ?? [] }, answer);
      });
    this.#kept.delete(key);
    this.#kept.set(key, masks);
    let held = 0;
    for (const { automaton } of this.#kept.values()) held += automaton.held;
    for (const [old, { automaton }] of this.#kept) {
      if ((this.#kept.size <= mostKept && held <= mostHeld) || old === key) break;
      held -= automaton.held;
      this.#kept.delete(old);
    }
    return new Constraint(masks, this.#tokenizer, stops);
  }

  #compile(where: string, format: ToolCallFormat | undefined, read: () => Grammar): TokenMasks {
    const tokenizer = this.#tokenizer as Tokenizer;
    const marks = format === undefined ? [] : specialTokensIn(tokenizer, format);
    const vocabulary = sortedVocabulary(tokenizer, this.#vocabSize, marks);
    try {
      const masks = new TokenMasks(new Automaton(where, compileGrammar(where, read())), vocabulary);
      // asked for in a moment anyway, and a form with too many ways to begin is refused here, not in the middle of an answer
      masks.maskOf(masks.automaton.start);
      return masks;
    } catch (cause) {
      // the stack ends where a form is nested as deep as no parser takes it
      if (!(cause instanceof RangeError)) throw cause;
      throw new RelufyError(
        'option',
        `${where}: expected a form that is less deep and has fewer parts. Make it smaller.`,
        {
          cause,
        },
      );
    }
  }
}

/** @throws RelufyError `option` for what JSON cannot say: circles, numbers too large, values too deep. */
function textOf(where: string, form: readonly unknown[]): string {
  try {
    return JSON.stringify(form);
  } catch (cause) {
    throw new RelufyError(
      'option',
      `${where}: expected what JSON can say, got something else (${show((cause as Error).message.split('\n')[0])}). Leave circles and bigints out.`,
      { cause },
    );
  }
}

/** Special tokens with which a format marks its calls. */
function specialTokensIn(tokenizer: Tokenizer, format: ToolCallFormat): number[] {
  const texts = [format.beforeAll, format.before, format.between, format.after, format.afterAll];
  return [...tokenizer.specialIds].filter((id) => {
    const token = tokenizer.idToToken(id);
    return token !== undefined && token !== '' && texts.some((text) => text?.includes(token));
  });
}
