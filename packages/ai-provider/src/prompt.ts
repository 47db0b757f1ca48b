// From the AI SDK's prompt to the messages of a chat template. Does not own the template.
import {
  type LanguageModelV3Message,
  type LanguageModelV3Prompt,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import type { ChatMessage, ToolCall } from '@relufy/models';

/** @throws UnsupportedFunctionalityError for pictures and other files: these models read text. */
export function chatMessages(prompt: LanguageModelV3Prompt): ChatMessage[] {
  return prompt.flatMap(messagesOf);
}

function messagesOf(message: LanguageModelV3Message): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [
        {
          role: 'user',
          content: message.content.map((part) => (part.type === 'text' ? part.text : fileText(part))).join(''),
        },
      ];
    case 'assistant': {
      const { content } = message;
      const textOf = (type: 'text' | 'reasoning') =>
        content.map((part) => (part.type === type ? part.text : '')).join('');
      for (const part of content) if (part.type === 'file') fileText(part);
      const calls = content.flatMap((part): ToolCall[] =>
        part.type === 'tool-call'
          ? [{ id: part.toolCallId, type: 'function', function: { name: part.toolName, arguments: part.input } }]
          : [],
      );
      const reasoning = textOf('reasoning');
      return [
        {
          role: 'assistant',
          content: textOf('text'),
          ...(reasoning !== '' && { reasoning_content: reasoning }),
          ...(calls.length > 0 && { tool_calls: calls }),
        },
      ];
    }
    case 'tool':
      return message.content.flatMap((part) =>
        part.type === 'tool-result'
          ? [
              {
                role: 'tool' as const,
                name: part.toolName,
                tool_call_id: part.toolCallId,
                content: resultText(part.output),
              },
            ]
          : [],
      );
  }
}

/** A file that is text is read as text. */
function fileText({
  mediaType,
  data,
}: {
  readonly mediaType: string;
  readonly data: Uint8Array | string | URL;
}): string {
  if (/^text\/|^application\/json$/.test(mediaType)) {
    if (data instanceof Uint8Array) return new TextDecoder().decode(data);
    if (typeof data === 'string')
      return new TextDecoder().decode(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)));
  }
  throw new UnsupportedFunctionalityError({
    functionality: `files of type ${mediaType}`,
    message: `prompt: expected text, got a file of type ${mediaType}. These models read text alone.`,
  });
}

type ToolOutput = Extract<
  Extract<LanguageModelV3Message, { role: 'tool' }>['content'][number],
  { type: 'tool-result' }
>['output'];

function resultText(output: ToolOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'execution-denied':
      return output.reason ?? 'The call was denied.';
    case 'content':
      return output.value.map((part) => (part.type === 'text' ? part.text : `[${part.type}]`)).join('\n');
    default:
      return JSON.stringify(output.value);
  }
}
