// Tools in the prompt: through the model's own template where it knows them, else as a system message in the form that most
// models were taught (Hermes). And which calls the answer is held to. Does not own reading calls out of an answer
// (answer-parser.ts) nor the holding (@relufy/models).
import type { LanguageModelV3CallOptions, SharedV3Warning } from '@ai-sdk/provider';
import type { ChatMessage, GenerateOptions, JsonSchema, Tool } from '@relufy/models';
import type { ProvidedModel } from './provided-model.js';

export interface ToolPrompt {
  readonly messages: readonly ChatMessage[];
  /** For the template. */
  readonly tools: readonly Tool[];
  /** Of `generate`. */
  readonly held: Pick<GenerateOptions, 'tools' | 'toolChoice'>;
  readonly warnings: readonly SharedV3Warning[];
}

export function toolPrompt(
  { tools = [], toolChoice }: Pick<LanguageModelV3CallOptions, 'tools' | 'toolChoice'>,
  messages: readonly ChatMessage[],
  model: ProvidedModel,
): ToolPrompt {
  const warnings: SharedV3Warning[] = [];
  const own = tools.flatMap((tool) => {
    if (tool.type === 'function') return [tool];
    warnings.push({ type: 'unsupported', feature: `provider tool ${tool.id}`, details: 'There is no such tool here.' });
    return [];
  });
  const wanted =
    toolChoice?.type === 'none'
      ? []
      : toolChoice?.type === 'tool'
        ? own.filter(({ name }) => name === toolChoice.toolName)
        : own;
  if (wanted.length === 0) return { messages, tools: [], held: {}, warnings };
  const schemas = wanted.map(
    ({ name, description, inputSchema }): Tool => ({
      type: 'function',
      function: { name, ...(description !== undefined && { description }), parameters: inputSchema as JsonSchema },
    }),
  );
  const held = {
    tools: schemas,
    toolChoice: toolChoice === undefined || toolChoice.type === 'auto' ? ('auto' as const) : ('required' as const),
  };
  if (knowsTools(model, schemas)) return { messages, tools: schemas, held, warnings };
  warnings.push({
    type: 'compatibility',
    feature: 'tools',
    details: `The chat template of ${model.name} has no place for tools: they are told in the system message.`,
  });
  return { messages: withSystem(messages, instructions(schemas)), tools: [], held, warnings };
}

/** Whether the template says anything else with tools than without. */
function knowsTools({ tokenizer }: ProvidedModel, tools: readonly object[]): boolean {
  const messages: ChatMessage[] = [{ role: 'user', content: 'Hi' }];
  try {
    return tokenizer?.applyChatTemplate(messages, { tools }) !== tokenizer?.applyChatTemplate(messages);
  } catch {
    return false;
  }
}

const instructions = (schemas: readonly object[]): string =>
  `You may call one or more functions to answer. They are described here:
<tools>
${schemas.map((schema) => JSON.stringify(schema)).join('\n')}
</tools>
To call a function, answer with a JSON object in tags:
<tool_call>
{"name": <function name>, "arguments": <object of arguments>}
</tool_call>`;

export function withSystem(messages: readonly ChatMessage[], text: string): readonly ChatMessage[] {
  const [first, ...others] = messages;
  return first?.role === 'system'
    ? [{ ...first, content: `${first.content}\n\n${text}` }, ...others]
    : [{ role: 'system', content: text }, ...messages];
}
