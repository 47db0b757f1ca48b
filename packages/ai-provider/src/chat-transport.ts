// `useChat` of the AI SDK without a server: the model answers in the page, or in a worker beside it, so that the page never
// waits. Does not own the loop of tools, which is the SDK's.
import {
  type ChatTransport,
  DirectChatTransport,
  ToolLoopAgent,
  type ToolLoopAgentSettings,
  type UIMessage,
  type UIMessageChunk,
} from 'ai';

/** Settings of an agent: model, instructions, tools, sampling. */
export type ChatTransportSettings = ToolLoopAgentSettings;

/**
 * For `useChat` and a model in the same thread.
 * @example
 * useChat({ transport: chatTransport({ model: relufy('llama-tales') }) });
 */
export function chatTransport(settings: ChatTransportSettings): ChatTransport<UIMessage> {
  // an agent's messages are UIMessages without data parts; those of a page may have some, which are not sent to a model
  return new DirectChatTransport({ agent: new ToolLoopAgent(settings) }) as unknown as ChatTransport<UIMessage>;
}

type ToWorker =
  | { readonly relufyChat: 'send'; readonly id: number; readonly messages: UIMessage[] }
  | { readonly relufyChat: 'abort'; readonly id: number };
type FromWorker =
  | { readonly relufyChat: 'chunk'; readonly id: number; readonly chunk: UIMessageChunk }
  | { readonly relufyChat: 'end'; readonly id: number }
  | { readonly relufyChat: 'error'; readonly id: number; readonly message: string };

/** A worker, or either side of a channel. */
export interface ChatPort {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', hear: (event: MessageEvent) => void): void;
  removeEventListener(type: 'message', hear: (event: MessageEvent) => void): void;
  start?(): void;
}

/**
 * In the page: for `useChat` and a model in a worker, where `serveChat` answers.
 * @example
 * useChat({ transport: new WorkerChatTransport(new Worker(new URL('./model.js', import.meta.url), { type: 'module' })) });
 */
export class WorkerChatTransport implements ChatTransport<UIMessage> {
  readonly #port: ChatPort;
  #calls = 0;

  constructor(port: ChatPort) {
    this.#port = port;
    port.start?.();
  }

  async sendMessages({
    messages,
    abortSignal,
  }: Parameters<ChatTransport<UIMessage>['sendMessages']>[0]): Promise<ReadableStream<UIMessageChunk>> {
    const id = ++this.#calls;
    const port = this.#port;
    const abort = () => port.postMessage({ relufyChat: 'abort', id } satisfies ToWorker);
    let stop = () => {};
    return new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        const hear = ({ data }: MessageEvent<FromWorker>) => {
          if (data?.relufyChat === undefined || data.id !== id) return;
          if (data.relufyChat === 'chunk') return controller.enqueue(data.chunk);
          stop();
          if (data.relufyChat === 'end') controller.close();
          else controller.error(new Error(data.message));
        };
        stop = () => {
          port.removeEventListener('message', hear);
          abortSignal?.removeEventListener('abort', abort);
        };
        port.addEventListener('message', hear);
        abortSignal?.addEventListener('abort', abort, { once: true });
        port.postMessage({ relufyChat: 'send', id, messages } satisfies ToWorker);
        if (abortSignal?.aborted) abort();
      },
      cancel: () => {
        stop();
        abort();
      },
    });
  }

  /** What a worker wrote while nobody listened is gone. */
  async reconnectToStream(): Promise<null> {
    return null;
  }
}

/**
 * In the worker: answers what `WorkerChatTransport` sends.
 * @example
 * serveChat(self, chatTransport({ model: relufy('llama-tales') }));
 */
export function serveChat(port: ChatPort, transport: ChatTransport<UIMessage>): void {
  const running = new Map<number, AbortController>();
  const answer = async (id: number, messages: UIMessage[]): Promise<void> => {
    const stop = new AbortController();
    running.set(id, stop);
    const post = (message: FromWorker) => port.postMessage(message);
    try {
      const stream = await transport.sendMessages({
        trigger: 'submit-message',
        chatId: `${id}`,
        messageId: undefined,
        messages,
        abortSignal: stop.signal,
      });
      const reader = stream.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read())
        post({ relufyChat: 'chunk', id, chunk: next.value });
      post({ relufyChat: 'end', id });
    } catch (error) {
      post({ relufyChat: 'error', id, message: error instanceof Error ? error.message : String(error) });
    } finally {
      running.delete(id);
    }
  };
  port.addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
    if (data?.relufyChat === 'send') void answer(data.id, data.messages);
    else if (data?.relufyChat === 'abort') running.get(data.id)?.abort();
  });
  port.start?.();
}
