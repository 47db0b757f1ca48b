// The chats as the page holds them: the list, the one that is open, its messages. Every change goes to storage first.
// Does not own answering (app-state.ts).
import { signal } from '@preact/signals';
import { chatFile, parseChatFile } from './chat-file.js';
import type { ChatStore, Preset } from './chat-store.js';
import { type Chat, type Message, newestLeaf, newId, pathTo, timestamp, titleOf } from './chat-tree.js';

/** What a chat begins with, chosen before there is one. */
export type Draft = Pick<Chat, 'system' | 'settings'>;

const draftKey = 'relufy-draft';

export class Chats {
  readonly list = signal<readonly Chat[]>([]);
  readonly chat = signal<Chat | undefined>(undefined);
  readonly messages = signal<ReadonlyMap<string, Message>>(new Map());
  readonly presets = signal<readonly Preset[]>([]);
  readonly draft = signal<Draft>({ system: '', settings: {} });
  /** Titles and texts that hold this are shown. */
  readonly search = signal('');
  /** Ids of the chats found; undefined: no search. */
  readonly found = signal<ReadonlySet<string> | undefined>(undefined);
  readonly #store: ChatStore;

  constructor(store: ChatStore) {
    this.#store = store;
  }

  async start(): Promise<void> {
    this.#store.onChange = ({ chat }) => void this.#refresh(chat);
    this.list.value = await this.#store.chats();
    this.presets.value = await this.#store.presets();
    this.draft.value = readDraft() ?? this.draft.value;
  }

  /** Another tab wrote. The chat that is open here is read again. */
  async #refresh(changed: string | undefined): Promise<void> {
    this.list.value = await this.#store.chats();
    const open = this.chat.value;
    if (open === undefined || (changed !== undefined && changed !== open.id)) return;
    const stored = this.list.value.find(({ id }) => id === open.id);
    if (stored === undefined) return void this.open(undefined);
    this.chat.value = stored;
    this.messages.value = await this.#read(open.id);
  }

  async #read(chat: string): Promise<ReadonlyMap<string, Message>> {
    return new Map((await this.#store.messages(chat)).map((message) => [message.id, message]));
  }

  path(): Message[] {
    return pathTo(this.messages.value, this.chat.value?.leaf ?? '');
  }

  /** undefined: a new one, which is made when something is said. */
  async open(id: string | undefined): Promise<void> {
    const chat = this.list.value.find((one) => one.id === id);
    this.messages.value = chat ? await this.#read(chat.id) : new Map();
    this.chat.value = chat;
  }

  /** The chat that is open, or a new one with a name from its first words. */
  async ensure(text: string): Promise<Chat> {
    const open = this.chat.value;
    if (open) return open;
    const now = timestamp();
    const chat: Chat = {
      id: newId(),
      title: titleOf(text),
      createdAt: now,
      updatedAt: now,
      leaf: '',
      ...this.draft.value,
    };
    await this.#save(chat);
    return chat;
  }

  async #save(chat: Chat): Promise<void> {
    await this.#store.saveChat(chat);
    this.list.value = [chat, ...this.list.value.filter(({ id }) => id !== chat.id)].sort(
      (a, b) => b.updatedAt - a.updatedAt,
    );
    if (this.chat.value === undefined || this.chat.value.id === chat.id) this.chat.value = chat;
  }

  /** A message at the end of what is shown. */
  async add(message: Message): Promise<Message> {
    await this.update(message);
    const chat = this.list.value.find(({ id }) => id === message.chat);
    if (chat) await this.#save({ ...chat, leaf: message.id, updatedAt: timestamp() });
    return message;
  }

  async update(message: Message): Promise<void> {
    await this.#store.saveMessage(message);
    if (this.chat.value?.id === message.chat || this.chat.value === undefined)
      this.messages.value = new Map(this.messages.value).set(message.id, message);
  }

  /** Shows a branch, to its newest end. */
  async show(message: Message): Promise<void> {
    const chat = this.chat.value;
    if (chat) await this.#save({ ...chat, leaf: newestLeaf(this.messages.value, message.id) });
  }

  async rename(chat: Chat, title: string): Promise<void> {
    if (title.trim() !== '') await this.#save({ ...chat, title: title.trim() });
  }

  async delete(chat: Chat): Promise<void> {
    await this.#store.deleteChat(chat.id);
    this.list.value = this.list.value.filter(({ id }) => id !== chat.id);
    if (this.chat.value?.id === chat.id) await this.open(undefined);
  }

  /** Of the open chat, and of those to come. */
  async configure(draft: Draft): Promise<void> {
    this.draft.value = draft;
    try {
      localStorage.setItem(draftKey, JSON.stringify(draft));
    } catch {} // storage is off: for this tab then
    const chat = this.chat.value;
    if (chat) await this.#save({ ...chat, ...draft });
  }

  async savePreset(preset: Preset): Promise<void> {
    await this.#store.savePreset(preset);
    this.presets.value = [...this.presets.value.filter(({ name }) => name !== preset.name), preset];
  }

  async deletePreset(name: string): Promise<void> {
    await this.#store.deletePreset(name);
    this.presets.value = this.presets.value.filter((preset) => preset.name !== name);
  }

  async find(text: string): Promise<void> {
    this.search.value = text;
    const wanted = text.trim().toLowerCase();
    if (wanted === '') {
      this.found.value = undefined;
      return;
    }
    const found = new Set<string>();
    for (const chat of this.list.value) {
      if (this.search.value !== text) return; // another search began
      const holds = (one: string) => one.toLowerCase().includes(wanted);
      if (holds(chat.title) || (await this.#store.messages(chat.id)).some((message) => holds(message.text)))
        found.add(chat.id);
    }
    if (this.search.value === text) this.found.value = found;
  }

  async export(): Promise<string> {
    const chats = await this.#store.chats();
    const messages = await Promise.all(chats.map(({ id }) => this.#store.messages(id)));
    return chatFile({ chats, messages: messages.flat() });
  }

  /** @returns how many chats came. */
  async import(text: string): Promise<number> {
    const { chats, messages } = parseChatFile(text, new Map(this.list.value.map((chat) => [chat.id, chat])));
    await this.#store.saveAll(chats, messages);
    this.list.value = await this.#store.chats();
    return chats.length;
  }
}

function readDraft(): Draft | undefined {
  try {
    const { system, settings } = JSON.parse(localStorage.getItem(draftKey) ?? '') as Draft;
    return typeof system === 'string' && typeof settings === 'object' ? { system, settings } : undefined;
  } catch {
    return undefined;
  }
}
