// The conversation: messages with what can be done with each, and the answer that is being written.
// Does not own what happens (app-state.ts) nor Markdown.
import { useSignal } from '@preact/signals';
import { memo } from 'preact/compat';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import { type Message, siblings } from '../chats/chat-tree.js';
import { bundledChoice } from '../loaded-engine.js';
import { bytes, percent, rate } from './format.js';
import { copyText, Markdown } from './markdown.js';

export function ChatView({ state }: { state: AppState }) {
  const path = state.chats.path();
  const log = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const answering = state.answering.value;
  useLayoutEffect(() => {
    if (follows.current && log.current) log.current.scrollTop = log.current.scrollHeight;
  }, [answering?.text, path.length, state.chats.chat.value?.id]);
  const scrolled = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = log.current ?? {};
    follows.current = scrollHeight - scrollTop - clientHeight < 40;
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard has to reach it
    <div class="log" ref={log} onScroll={scrolled} role="log" aria-label="Conversation" aria-live="off" tabIndex={0}>
      {path.length === 0 && <Welcome state={state} />}
      {path.map((message) => (
        <MessageView
          key={message.id}
          state={state}
          message={message}
          forgotten={state.forgotten.value.has(message.id)}
          growing={answering?.message.id === message.id ? answering.text : undefined}
          busy={answering !== undefined}
        />
      ))}
    </div>
  );
}

function Welcome({ state }: { state: AppState }) {
  const offered = [
    { name: 'llama-tales', says: 'Tells short stories. Nine of ten neurons stay dark: watch them on the right.' },
    { name: 'smollm2-135m-instruct', says: 'Chats in English. Nothing in it is sparse without a plan.' },
  ];
  const here = new Map(state.engine.site.value.models.map((model) => [model.name, model]));
  return (
    <div class="welcome">
      <h2>Models that run in this browser, and skip what they do not need</h2>
      <p>
        What you write stays on this device. Pick a model, or just write: llama-tales answers if you choose nothing
        else.
      </p>
      <ul class="offers">
        {offered.flatMap(({ name, says }) => {
          const model = here.get(name);
          if (model === undefined) return [];
          return (
            <li key={name}>
              <button type="button" onClick={() => void state.engine.load(bundledChoice(name)).catch(() => {})}>
                <strong>{name}</strong>
                <span>{says}</span>
                <span>{bytes(model.files.reduce((sum, { size }) => sum + size, 0))}</span>
              </button>
            </li>
          );
        })}
      </ul>
      <ul class="prompts">
        {['Tell me a story about a fox who learns to read.', 'Write a story about a storm at sea.'].map((prompt) => (
          <li key={prompt}>
            <button type="button" onClick={() => void state.send(prompt)}>
              {prompt}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface MessageProps {
  readonly state: AppState;
  readonly message: Message;
  readonly forgotten: boolean;
  /** Its text so far, where it is being written. */
  readonly growing: string | undefined;
  /** Some answer is being written. */
  readonly busy: boolean;
}

/** Not drawn anew for what happens to others. */
const MessageView = memo(({ state, message, forgotten, growing: written, busy }: MessageProps) => {
  const editing = useSignal(false);
  const growing = written !== undefined;
  const text = written ?? message.text;
  const isUser = message.role === 'user';
  return (
    <article
      class={`message ${message.role}${forgotten ? ' forgotten' : ''}`}
      aria-label={isUser ? 'You' : (message.model ?? 'Answer')}
      aria-busy={growing}
    >
      <h2>
        {isUser ? 'You' : (message.model ?? 'Answer')}
        {forgotten && <em> (no longer seen by the model)</em>}
      </h2>
      {editing.value ? (
        <Editor
          text={text}
          onCancel={() => {
            editing.value = false;
          }}
          onSave={(changed) => {
            editing.value = false;
            void state.edit(message, changed);
          }}
        />
      ) : isUser ? (
        <p class="said">{text}</p>
      ) : (
        <Markdown text={text} growing={growing} />
      )}
      {growing && text === '' && <p class="thinking">…</p>}
      {message.error && (
        <p class="error" role="alert">
          {message.error}
        </p>
      )}
      {message.finish === 'abort' && !message.error && !growing && <p class="note">Stopped.</p>}
      {message.finish === 'length' && <p class="note">It ended at its longest length.</p>}
      <footer>
        <Branches state={state} message={message} disabled={busy} />
        {!growing && <CopyButton text={text} />}
        {isUser && !editing.value && (
          <button
            type="button"
            disabled={busy}
            onClick={() => {
              editing.value = true;
            }}
          >
            Edit
          </button>
        )}
        {!isUser && !growing && (
          <button type="button" disabled={busy} onClick={() => void state.regenerate(message)}>
            Regenerate
          </button>
        )}
        {!isUser && <Figures state={state} message={message} growing={growing} />}
      </footer>
    </article>
  );
});

function Figures({ state, message, growing }: { state: AppState; message: Message; growing: boolean }) {
  if (growing) return <span class="figures">{`${rate(state.answering.value?.tokensPerSecond ?? 0)} tokens/s`}</span>;
  const { figures } = message;
  if (figures === undefined) return null;
  const { completionTokens, tokensPerSecond, weightBytes = 0, denseWeightBytes = 0 } = figures;
  return (
    <>
      {state.activity.has(message.id) && state.watched.value !== message.id && (
        <button
          type="button"
          onClick={() => {
            state.watched.value = message.id;
          }}
        >
          Neurons
        </button>
      )}
      <span class="figures">
        {`${completionTokens} tokens, ${rate(tokensPerSecond)} tokens/s`}
        {denseWeightBytes > 0 && `, read ${percent(weightBytes / denseWeightBytes)} of the weights`}
      </span>
    </>
  );
}

function CopyButton({ text }: { text: string }) {
  const copied = useSignal(false);
  return (
    <button
      type="button"
      onClick={() => {
        void copyText(text).then(() => {
          copied.value = true;
          setTimeout(() => {
            copied.value = false;
          }, 1500);
        });
      }}
    >
      {copied.value ? 'Copied' : 'Copy'}
    </button>
  );
}

function Branches({ state, message, disabled }: { state: AppState; message: Message; disabled: boolean }) {
  const all = siblings(state.chats.messages.value, message);
  if (all.length < 2) return null;
  const at = all.findIndex(({ id }) => id === message.id);
  const step = (by: number, label: string, sign: string) => {
    const other = all[at + by];
    return (
      <button
        type="button"
        aria-label={label}
        disabled={disabled || !other}
        onClick={() => {
          if (other) void state.chats.show(other).then(() => state.count());
        }}
      >
        {sign}
      </button>
    );
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would want a legend
    <span class="branches" role="group" aria-label="Versions">
      {step(-1, 'Version before', '‹')}
      <span>{`${at + 1}/${all.length}`}</span>
      {step(1, 'Next version', '›')}
    </span>
  );
}

function Editor({ text, onSave, onCancel }: { text: string; onSave: (text: string) => void; onCancel: () => void }) {
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        onSave(field.current?.value ?? text);
      }}
    >
      <textarea
        ref={field}
        aria-label="Edit the message"
        rows={Math.min(12, text.split('\n').length + 1)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onCancel();
          else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            onSave(field.current?.value ?? text);
          }
        }}
        defaultValue={text}
      />
      <button type="submit">Send</button>
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
    </form>
  );
}
