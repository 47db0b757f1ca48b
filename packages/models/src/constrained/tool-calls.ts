// Calls of tools as models write them: a name and arguments that fit the tool's schema, between the marks of the format that
// the model was trained on, and text before them where the model may choose. Does not own how an answer is read back.
import { checkValue, oneOf, RelufyError, show } from '@relufy/tensor';
import {
  type CharRange,
  chars,
  choice,
  complement,
  type Expression,
  type Grammar,
  nothing,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './grammar.js';
import { compileJsonSchema, type JsonSchema } from './json-schema.js';
import { Work } from './regular.js';

/** A tool as OpenAI's API has it; without `parameters` it takes an empty object. */
export interface Tool {
  readonly type?: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: JsonSchema;
    readonly [key: string]: unknown;
  };
}

/** May the model call, must it, may it not, or must it call this one. */
export type ToolChoice = 'auto' | 'required' | 'none' | { readonly name: string };

/** How a call is written. */
export interface ToolCallFormat {
  readonly before: string;
  readonly after: string;
  /** Between one call and the next. */
  readonly between: string;
  readonly argumentsKey: string;
  /** Around all calls of an answer. */
  readonly beforeAll?: string;
  readonly afterAll?: string;
  /** After it a text is a call. Default: what stands before the first call, without blanks. */
  readonly mark?: string;
}

/** `hermes`: Qwen, Hermes, SmolLM; `llama`: Llama 3.1 and later; `mistral`: one list, after a special token. */
export const toolCallFormats = {
  hermes: { before: '<tool_call>\n', after: '\n</tool_call>', between: '\n', argumentsKey: 'arguments' },
  llama: { before: '', after: '', between: '; ', argumentsKey: 'parameters' },
  mistral: {
    ...{ before: '', after: '', between: ', ', argumentsKey: 'arguments' },
    ...{ mark: '[TOOL_CALLS]', beforeAll: '[TOOL_CALLS][', afterAll: ']' },
  },
} as const satisfies Record<string, ToolCallFormat>;

export interface ToolCallOptions {
  readonly tools: readonly Tool[];
  /** Default: auto. */
  readonly toolChoice?: ToolChoice;
  /** More than one call in an answer. Default: true. */
  readonly parallelToolCalls?: boolean;
  /** Default: hermes. */
  readonly toolCallFormat?: keyof typeof toolCallFormats | ToolCallFormat;
}

/** How the calls of these options are written. */
export function toolCallFormatOf({ toolCallFormat = 'hermes' }: Partial<ToolCallOptions>): ToolCallFormat {
  return typeof toolCallFormat === 'object' ? toolCallFormat : toolCallFormats[toolCallFormat];
}

/**
 * `answer`: what an answer without a call has to be; without it any text is one, also before a call.
 * @throws RelufyError `option` for tools without a name, or a schema that cannot be kept.
 */
export function compileToolCalls(where: string, options: ToolCallOptions, answer?: Grammar): Grammar {
  const { tools, toolChoice = 'auto', parallelToolCalls = true } = options;
  const named = typeof toolChoice === 'object' ? toolChoice.name : undefined;
  if (named === undefined) checkValue(`${where}: toolChoice`, toolChoice, oneOf('auto', 'required', 'none'));
  const format = toolCallFormatOf(options);
  const { before, after, between, argumentsKey, beforeAll = '', afterAll = '' } = format;
  const chosen = tools.filter(({ function: { name } }) => named === undefined || name === named);
  if (chosen.length === 0)
    throw new RelufyError(
      'option',
      `${where}: expected ${named === undefined ? 'a tool' : `a tool ${show(named)}`}, got ${tools.length === 0 ? 'none' : show(tools.map((tool) => tool.function.name))}. Add it, or leave the choice to the model.`,
    );
  const rules = new Map<string, Expression>();
  const work = new Work();
  const calls = chosen.map(({ function: { name, parameters = { type: 'object', additionalProperties: false } } }) => {
    const own = compileJsonSchema(`${where}: tool ${show(name)}`, parameters, work);
    for (const [key, value] of own.rules) rules.set(`tool ${name} ${key}`, renamed(value, `tool ${name} `));
    return sequence(
      text(`{"name": ${JSON.stringify(name)}, "${argumentsKey}": `),
      rule(`tool ${name} ${own.root}`),
      text('}'),
    );
  });
  rules.set('call', choice(...calls));
  const more = sequence(text(between + before), rule('call'), text(after));
  rules.set(
    'calls',
    sequence(rule('call'), text(after), parallelToolCalls ? repeat(more, 0) : nothing, text(afterAll)),
  );
  const opening = beforeAll + before;
  const mark = format.mark ?? opening.trim();
  if (answer !== undefined) {
    if (toolChoice !== 'auto')
      throw new RelufyError(
        'option',
        `${where}: expected no form of the text beside a toolChoice that demands a call, got one. Leave one out.`,
      );
    for (const [key, value] of answer.rules) rules.set(`answer ${key}`, renamed(value, 'answer '));
    rules.set('root', choice(rule(`answer ${answer.root}`), sequence(text(opening), rule('calls'))));
  } else if (toolChoice !== 'auto') rules.set('root', sequence(text(opening), rule('calls')));
  // where calls have no mark, an answer that begins with a brace is one
  else if (mark === '')
    rules.set('root', choice(rule('calls'), optional(sequence(chars(...complement([[0x7b, 0x7b]])), anything))));
  else addTextBefore(rules, mark, sequence(text(opening.slice(opening.indexOf(mark) + mark.length)), rule('calls')));
  return { root: 'root', rules };
}

const anything = repeat(chars([0, 0x10ffff]), 0);

/** Text in which `mark` begins what follows it: a state for each character of the mark that has been read. */
function addTextBefore(rules: Map<string, Expression>, mark: string, follows: Expression): void {
  const points = [...mark];
  const state = (read: number) => rule(`text ${read}`);
  for (let read = 0; read < points.length; read++) {
    const known = points.slice(0, read);
    /** By character, how much of the mark the text then ends with. */
    const onwards = new Map<string, number>();
    for (const point of new Set(points)) {
      const ends = [...known, point];
      let length = Math.min(ends.length, points.length);
      while (length > 0 && points.slice(0, length).join('') !== ends.slice(-length).join('')) length--;
      if (length > 0) onwards.set(point, length);
    }
    const range = (point: string): CharRange => [point.codePointAt(0) as number, point.codePointAt(0) as number];
    const others = complement([...onwards.keys()].map(range));
    rules.set(
      `text ${read}`,
      choice(
        nothing,
        sequence(chars(...others), state(0)),
        ...[...onwards].map(([point, length]) =>
          sequence(chars(range(point)), length === points.length ? follows : state(length)),
        ),
      ),
    );
  }
  rules.set('root', state(0));
}

function renamed(expression: Expression, prefix: string): Expression {
  switch (expression.kind) {
    case 'rule':
      return rule(`${prefix}${expression.name}`);
    // what names no rule stays the same expression, which is compiled once
    case 'repeat': {
      const part = renamed(expression.part, prefix);
      return part === expression.part ? expression : { ...expression, part };
    }
    case 'sequence':
    case 'choice': {
      const parts = expression.parts.map((part) => renamed(part, prefix));
      return parts.every((part, i) => part === expression.parts[i]) ? expression : { ...expression, parts };
    }
    default:
      return expression;
  }
}
