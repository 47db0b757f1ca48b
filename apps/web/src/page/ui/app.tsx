// The page's frame: chats on the left, the conversation, neurons on the right; dialogs and shortcuts.
// Does not own what its parts show.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import { ChatView } from './chat-view.js';
import { Composer } from './composer.js';
import { bytes, isNarrow } from './format.js';
import { LoadingBar } from './loading-bar.js';
import { ModelDialog } from './model-dialog.js';
import { NeuronsPanel } from './neurons-panel.js';
import { ReportDialog } from './report-dialog.js';
import { SettingsDialog } from './settings-dialog.js';
import { Sidebar } from './sidebar.js';

type Dialog = 'models' | 'settings' | 'report';

export function App({ state }: { state: AppState }) {
  const dialog = useSignal<Dialog | undefined>(undefined);
  const sidebar = useSignal(!isNarrow());
  const neurons = useSignal(!isNarrow());
  const main = useRef<HTMLElement>(null);
  const { loaded, loading } = state.engine;
  useShortcuts(state, () => {
    sidebar.value = true;
  });
  useDrops(state, () => {
    dialog.value = 'models';
  });
  const close = () => {
    dialog.value = undefined;
  };
  const chat = state.chats.chat.value;
  return (
    <div class={`frame${sidebar.value ? ' with-sidebar' : ''}${neurons.value ? ' with-neurons' : ''}`}>
      <a class="skip" href="#composer">
        To the message field
      </a>
      <header>
        <button
          type="button"
          class="icon"
          aria-label="Chats"
          aria-expanded={sidebar.value}
          onClick={() => {
            sidebar.value = !sidebar.value;
          }}
        >
          ☰
        </button>
        <h1>{chat?.title ?? 'New chat'}</h1>
        <button
          type="button"
          class="model"
          onClick={() => {
            dialog.value = 'models';
          }}
        >
          <span class="name">{loaded.value?.name ?? loading.value?.name ?? 'Choose a model'}</span>
          {loaded.value && (
            <span class="backend">
              {loaded.value.threads > 0
                ? `WebAssembly, ${loaded.value.threads} ${loaded.value.threads === 1 ? 'thread' : 'threads'}`
                : loaded.value.backend}
              {loaded.value.memoryBytes > 0 && `, ${bytes(loaded.value.memoryBytes)}`}
            </span>
          )}
        </button>
        <button
          type="button"
          class="icon"
          aria-label="Settings"
          onClick={() => {
            dialog.value = 'settings';
          }}
        >
          ⚙
        </button>
        <button
          type="button"
          class="icon"
          aria-label="Neurons"
          aria-expanded={neurons.value}
          onClick={() => {
            neurons.value = !neurons.value;
          }}
        >
          ⁙
        </button>
      </header>
      {sidebar.value && (
        <Sidebar
          state={state}
          onReport={() => {
            dialog.value = 'report';
          }}
          onOpened={() => {
            if (isNarrow()) sidebar.value = false;
          }}
        />
      )}
      <main ref={main}>
        <Notices state={state} />
        <ChatView state={state} />
        <LoadingBar state={state} />
        <Composer state={state} />
      </main>
      {neurons.value && <NeuronsPanel state={state} />}
      {dialog.value === 'models' && <ModelDialog state={state} onClose={close} />}
      {dialog.value === 'settings' && <SettingsDialog state={state} onClose={close} />}
      {dialog.value === 'report' && <ReportDialog onClose={close} />}
      <div class="spoken" role="status">
        {state.spoken.value}
      </div>
    </div>
  );
}

function Notices({ state }: { state: AppState }) {
  return (
    <div class="notices" role="alert">
      {state.notices.list.value.map((notice) => (
        <p key={notice.text} class={notice.kind}>
          <span>{notice.text}</span>
          <button type="button" class="icon" aria-label="Dismiss" onClick={() => state.notices.dismiss(notice)}>
            ✕
          </button>
        </p>
      ))}
    </div>
  );
}

/** Esc stops, Ctrl+K searches, Ctrl+Shift+O begins a new chat. */
function useShortcuts(state: AppState, showSidebar: () => void): void {
  useEffect(() => {
    const hear = (event: KeyboardEvent) => {
      const command = event.ctrlKey || event.metaKey;
      if (event.key === 'Escape' && state.answering.value && document.querySelector('dialog[open]') === null)
        state.stop();
      else if (command && event.key.toLowerCase() === 'k') {
        showSidebar();
        // at once where it stands already: the next key belongs to it
        const search = () => document.querySelector<HTMLInputElement>('#search');
        if (search()) search()?.focus();
        else requestAnimationFrame(() => search()?.focus());
      } else if (command && event.shiftKey && event.key.toLowerCase() === 'o') {
        void state.open(undefined);
        document.querySelector<HTMLTextAreaElement>('#composer')?.focus();
      } else return;
      event.preventDefault();
    };
    addEventListener('keydown', hear);
    return () => removeEventListener('keydown', hear);
  }, [state, showSidebar]);
}

/** Files dropped anywhere are a model: the dialog takes them from here. */
function useDrops(state: AppState, show: () => void): void {
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      const { dataTransfer } = event;
      if (!dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      // the entries are gone after the event
      const entries = [...dataTransfer.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
      void import('./dropped-files.js').then(async ({ filesOf }) => {
        state.engine.picked.value = await filesOf(entries);
        show();
      });
    };
    addEventListener('dragover', over);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('drop', drop);
    };
  }, [state, show]);
}
