// Where a message is written, and how full the context is. Enter sends, Shift+Enter begins a line.
// Does not own sending (app-state.ts).
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';

export function Composer({ state }: { state: AppState }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = useSignal('');
  const answering = state.answering.value;
  const send = async () => {
    const said = text.value;
    if (answering || said.trim() === '') return;
    text.value = '';
    await state.send(said);
    // back from the button that is gone; a person who went elsewhere meanwhile stays there
    if (document.activeElement === document.body) field.current?.focus();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        id="composer"
        ref={field}
        rows={Math.min(8, text.value.split('\n').length + (text.value.length > 120 ? 1 : 0))}
        placeholder="Write a message"
        aria-label="Message"
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            void send();
          }
        }}
      />
      {answering ? (
        <button type="button" class="primary" onClick={() => state.stop()}>
          Stop
        </button>
      ) : (
        <button type="submit" class="primary" disabled={text.value.trim() === ''}>
          Send
        </button>
      )}
      <ContextGauge state={state} />
    </form>
  );
}

function ContextGauge({ state }: { state: AppState }) {
  const length = state.engine.loaded.value?.contextLength ?? 0;
  const used = state.used.value;
  if (length === 0 || used === undefined) return null;
  const forgotten = state.forgotten.value.size;
  return (
    <p class="context">
      <meter min={0} max={length} high={0.9 * length} value={Math.min(used, length)} aria-label="Context used" />
      {`${used.toLocaleString('en')} of ${length.toLocaleString('en')} tokens`}
      {forgotten > 0 &&
        `; ${forgotten} earlier ${forgotten === 1 ? 'message is' : 'messages are'} no longer seen by the model`}
    </p>
  );
}
