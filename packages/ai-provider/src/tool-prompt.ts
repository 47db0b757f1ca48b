// Tools in the prompt: through the model's own template where it knows them, else as a system message in the form that most
// models were taught (Hermes). And how a call is forced: the answer is begun for the model.
// Does not own reading calls out of an answer (answer-parser.ts).
import type { LanguageModelV3CallOptions, LanguageModelV3FunctionTool, SharedV3Warning } from '@ai-sdk/provider';
import type { ChatMessage } from '@relufy/models';
import type { ProvidedModel } from './provided-model.js';

export interface ToolPrompt {
  readonly messages: readonly ChatMessage[];
  /** For the template. */
  readonly tools: readonly object[];
  /** What the answer begins with. */
  readonly begun: string;
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
  if (wanted.length === 0) return { messages, tools: [], begun: '', warnings };
  const schemas = wanted.map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, ...(description !== undefined && { description }), parameters: inputSchema },
  }));
  const begun = beginningOf(toolChoice, wanted);
  if (knowsTools(model, schemas)) return { messages, tools: schemas, begun, warnings };
  warnings.push({
    type: 'compatibility',
    feature: 'tools',
    details: `The chat template of ${model.name} has no place for tools: they are told in the system message.`,
  });
  return { messages: withSystem(messages, instructions(schemas)), tools: [], begun, warnings };
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

function beginningOf(
  choice: LanguageModelV3CallOptions['toolChoice'],
  wanted: readonly LanguageModelV3FunctionTool[],
): string {
  if (choice?.type !== 'required' && choice?.type !== 'tool') return '';
  const [only, second] = wanted;
  return only && !second
    ? `<tool_call>\n{"name": ${JSON.stringify(only.name)}, "arguments": `
    : '<tool_call>\n{"name": "';
}
