// The route that useChat asks: a model in this process, native where its binary is there. Who leaves the page ends the answer.
import { relufy } from '@relufy/ai-provider';
import { convertToModelMessages, streamText } from 'ai';

const model = relufy('llama-tales');

export async function POST(request) {
  const { messages } = await request.json();
  const result = streamText({
    model,
    messages: await convertToModelMessages(messages),
    maxOutputTokens: 120,
    abortSignal: request.signal,
  });
  return result.toUIMessageStreamResponse();
}
