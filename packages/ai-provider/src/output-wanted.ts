// What a call of the AI SDK wants of the form of an answer, in the words of the server, which shapes prompts and takes answers
// apart for every model's format. Does not own either (@relufy/server).
import type { LanguageModelV3CallOptions, SharedV3Warning } from '@ai-sdk/provider';
import type { ChatMessage } from '@relufy/models';
import type { OutputAsked } from '@relufy/server/shaped-output';

export interface OutputWanted {
  readonly asked: OutputAsked;
  readonly messages: readonly ChatMessage[];
  readonly warnings: readonly SharedV3Warning[];
}

type Options = Pick<LanguageModelV3CallOptions, 'tools' | 'toolChoice' | 'responseFormat'>;

export function outputWanted(options: Options, messages: readonly ChatMessage[]): OutputWanted {
  const warnings: SharedV3Warning[] = [];
  const tools = toolsOf(options, warnings);
  const { responseFormat } = options;
  if (responseFormat?.type !== 'json') return { asked: tools, messages, warnings };
  const { schema } = responseFormat;
  const told = withSystem(
    messages,
    `Answer with JSON alone${schema ? `, by this JSON Schema:\n${JSON.stringify(schema)}` : '.'}`,
  );
  if (tools.tools === undefined) {
    const format = schema ? { type: 'json_schema', json_schema: { schema } } : { type: 'json_object' };
    return { asked: { responseFormat: format }, messages: told, warnings };
  }
  warnings.push({
    type: 'compatibility',
    feature: 'responseFormat',
    details: 'With tools, calls are held to their schemas; the answer itself is not held to its own.',
  });
  return { asked: tools, messages: told, warnings };
}

/** Without `tools`: none may be called. */
function toolsOf({ tools = [], toolChoice }: Options, warnings: SharedV3Warning[]): OutputAsked {
  const own = tools.flatMap((tool) => {
    if (tool.type === 'function')
      return [
        {
          type: 'function',
          function: { name: tool.name, description: tool.description, parameters: tool.inputSchema },
        },
      ];
    warnings.push({ type: 'unsupported', feature: `provider tool ${tool.id}`, details: 'There is no such tool here.' });
    return [];
  });
  if (own.length === 0 || toolChoice?.type === 'none') return {};
  return {
    tools: own,
    toolChoice:
      toolChoice?.type === 'tool'
        ? { type: 'function', function: { name: toolChoice.toolName } }
        : (toolChoice?.type ?? 'auto'),
  };
}

function withSystem(messages: readonly ChatMessage[], text: string): readonly ChatMessage[] {
  const [first, ...others] = messages;
  return first?.role === 'system'
    ? [{ ...first, content: `${first.content}\n\n${text}` }, ...others]
    : [{ role: 'system', content: text }, ...messages];
}
