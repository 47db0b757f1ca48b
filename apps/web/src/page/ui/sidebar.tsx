// The chats: a new one, search, open, rename, delete; all of them out and in as a file; a report to look at.
// Does not own storage (chats/).
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import type { Chat } from '../chats/chat-tree.js';
import { saveFile } from './files.js';

export function Sidebar({
  state,
  onReport,
  onOpened,
}: {
  state: AppState;
  onReport: () => void;
  onOpened: () => void;
}) {
  const { chats } = state;
  const picker = useRef<HTMLInputElement>(null);
  const shown = chats.list.value.filter(({ id }) => chats.found.value?.has(id) ?? true);
  const open = (id: string | undefined) => void state.open(id).then(onOpened);
  const exportAll = async () => saveFile('relufy-chats.json', await chats.export());
  const importAll = async (file: File | undefined) => {
    if (file === undefined) return;
    try {
      const count = await chats.import(await file.text());
      state.notices.show({
        kind: 'info',
        text: `${count} ${count === 1 ? 'chat' : 'chats'} imported from ${file.name}.`,
      });
    } catch (error) {
      state.notices.show({ kind: 'error', text: `${file.name}: ${error instanceof Error ? error.message : error}` });
    }
    if (picker.current) picker.current.value = '';
  };
  return (
    <nav class="sidebar" aria-label="Chats">
      <button type="button" class="primary" onClick={() => open(undefined)}>
        New chat
      </button>
      <input
        id="search"
        type="search"
        placeholder="Search"
        aria-label="Search in chats"
        value={chats.search.value}
        onInput={({ currentTarget }) => void chats.find(currentTarget.value)}
      />
      {shown.length === 0 ? (
        <p class="note">{chats.search.value ? 'Nothing found.' : 'No chats yet.'}</p>
      ) : (
        <ul>
          {shown.map((chat) => (
            <ChatEntry key={chat.id} state={state} chat={chat} onOpen={() => open(chat.id)} />
          ))}
        </ul>
      )}
      <div class="files">
        <button type="button" onClick={() => void exportAll()}>
          Export all
        </button>
        <button type="button" onClick={() => picker.current?.click()}>
          Import
        </button>
        <input
          ref={picker}
          type="file"
          accept=".json,application/json"
          hidden
          aria-label="File of chats"
          onChange={({ currentTarget }) => void importAll(currentTarget.files?.[0])}
        />
        <button type="button" onClick={onReport}>
          Open a report
        </button>
      </div>
    </nav>
  );
}

function ChatEntry({ state, chat, onOpen }: { state: AppState; chat: Chat; onOpen: () => void }) {
  const mode = useSignal<'shown' | 'renaming' | 'deleting'>('shown');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), [mode.value]);
  const show = () => {
    mode.value = 'shown';
  };
  if (mode.value === 'renaming')
    return (
      <li>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void state.chats.rename(chat, field.current?.value ?? '').then(show);
          }}
        >
          <input
            ref={field}
            aria-label="Name of the chat"
            defaultValue={chat.title}
            onBlur={show}
            onKeyDown={({ key }) => {
              if (key === 'Escape') show();
            }}
          />
        </form>
      </li>
    );
  if (mode.value === 'deleting')
    return (
      <li class="deleting">
        <span>Delete “{chat.title}”?</span>
        <button type="button" class="danger" onClick={() => void state.chats.delete(chat)}>
          Delete
        </button>
        <button type="button" onClick={show}>
          Keep
        </button>
      </li>
    );
  const isOpen = state.chats.chat.value?.id === chat.id;
  return (
    <li class={isOpen ? 'open' : ''}>
      <button type="button" class="title" aria-current={isOpen ? 'page' : undefined} onClick={onOpen}>
        {chat.title}
      </button>
      <button
        type="button"
        class="icon"
        aria-label={`Rename ${chat.title}`}
        onClick={() => {
          mode.value = 'renaming';
        }}
      >
        ✎
      </button>
      <button
        type="button"
        class="icon"
        aria-label={`Delete ${chat.title}`}
        onClick={() => {
          mode.value = 'deleting';
        }}
      >
        ✕
      </button>
    </li>
  );
}
