// `useChat` of the AI SDK with a model in a worker of the page, and no server: `npx vite examples/vite-chat`.
import { useChat } from '@ai-sdk/react';
import { WorkerChatTransport } from '@relufy/ai-provider/chat-transport';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

const worker = new Worker(new URL('./model.ts', import.meta.url), { type: 'module' });
const transport = new WorkerChatTransport(worker);

function Chat() {
  const { messages, sendMessage, status, stop, error } = useChat({ transport });
  const [text, setText] = useState('Tell me a story about a fox.');
  const busy = status === 'submitted' || status === 'streaming';
  return (
    <main>
      <h1>useChat without a server</h1>
      {messages.map(({ id, role, parts }) => (
        <p key={id} className={role}>
          <strong>{role}: </strong>
          {parts.map((part) => (part.type === 'text' ? part.text : '')).join('')}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void sendMessage({ text });
          setText('');
        }}
      >
        <input aria-label="Message" size={50} value={text} onChange={({ target }) => setText(target.value)} />
        {busy ? (
          <button type="button" onClick={() => void stop()}>
            Stop
          </button>
        ) : (
          <button type="submit">Send</button>
        )}
      </form>
    </main>
  );
}

createRoot(document.getElementById('app') as HTMLElement).render(<Chat />);
