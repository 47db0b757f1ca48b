// `useChat` of the AI SDK: it asks /api/chat, which answers in a stream.
'use client';

import { useChat } from '@ai-sdk/react';
import { useState } from 'react';

export default function Chat() {
  const { messages, sendMessage, status, stop, error } = useChat();
  const [text, setText] = useState('Tell me a story about a fox.');
  const busy = status === 'submitted' || status === 'streaming';
  return (
    <main>
      <h1>useChat with a model on the server</h1>
      {messages.map(({ id, role, parts }) => (
        <p key={id} className={role}>
          <strong>{role}: </strong>
          <span>{parts.map((part) => (part.type === 'text' ? part.text : '')).join('')}</span>
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
