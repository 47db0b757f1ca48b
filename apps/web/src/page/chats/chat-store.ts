// Conversations in this browser's IndexedDB: a record a message, so that an answer is saved without the rest of its chat.
// Where the browser refuses, everything goes on in memory, and `trouble` says so. Other tabs hear of changes.
// Does not own what a chat is (chat-tree.ts) nor files (chat-file.ts).
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Chat, Message } from './chat-tree.js';

export interface Preset {
  readonly name: string;
  readonly system: string;
  readonly settings: Chat['settings'];
}

interface Schema extends DBSchema {
  chats: { key: string; value: Chat };
  messages: { key: string; value: Message; indexes: { chat: string } };
  presets: { key: string; value: Preset };
}

type Change = { readonly chat?: string };

export class ChatStore {
  readonly #chats = new Map<string, Chat>();
  readonly #messages = new Map<string, Message>();
  readonly #presets = new Map<string, Preset>();
  readonly #channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('relufy-chats');
  #db: IDBPDatabase<Schema> | undefined;
  /** Called with what is wrong, once for each reason. */
  onTrouble: (reason: string) => void = () => {};
  /** Another tab changed this chat, or the list. */
  onChange: (change: Change) => void = () => {};

  async open(): Promise<void> {
    this.#channel?.addEventListener('message', ({ data }) => this.onChange(data as Change));
    try {
      this.#db = await openDB<Schema>('relufy-chats', 1, {
        upgrade(db) {
          db.createObjectStore('chats', { keyPath: 'id' });
          db.createObjectStore('messages', { keyPath: 'id' }).createIndex('chat', 'chat');
          db.createObjectStore('presets', { keyPath: 'name' });
        },
        terminated: () => this.#lose('the browser closed it'),
      });
    } catch (error) {
      this.#lose(error);
    }
  }

  /** The newest first. */
  async chats(): Promise<Chat[]> {
    const all = await this.#read(
      (db) => db.getAll('chats'),
      () => [...this.#chats.values()],
    );
    return all.sort((a, b) => b.updatedAt - a.updatedAt);
  }

  messages(chat: string): Promise<Message[]> {
    return this.#read(
      (db) => db.getAllFromIndex('messages', 'chat', chat),
      () => [...this.#messages.values()].filter((message) => message.chat === chat),
    );
  }

  presets(): Promise<Preset[]> {
    return this.#read(
      (db) => db.getAll('presets'),
      () => [...this.#presets.values()],
    );
  }

  async saveChat(chat: Chat): Promise<void> {
    this.#chats.set(chat.id, chat);
    await this.#write((db) => db.put('chats', chat));
    this.#tell({ chat: chat.id });
  }

  async saveMessage(message: Message): Promise<void> {
    this.#messages.set(message.id, message);
    await this.#write((db) => db.put('messages', message));
    this.#tell({ chat: message.chat });
  }

  /** All of it or nothing. */
  async saveAll(chats: readonly Chat[], messages: readonly Message[]): Promise<void> {
    for (const chat of chats) this.#chats.set(chat.id, chat);
    for (const message of messages) this.#messages.set(message.id, message);
    await this.#write(async (db) => {
      const work = db.transaction(['chats', 'messages'], 'readwrite');
      await Promise.all([
        ...chats.map((chat) => work.objectStore('chats').put(chat)),
        ...messages.map((message) => work.objectStore('messages').put(message)),
        work.done,
      ]);
    });
    this.#tell({});
  }

  async deleteChat(id: string): Promise<void> {
    const messages = await this.messages(id);
    this.#chats.delete(id);
    for (const message of messages) this.#messages.delete(message.id);
    await this.#write(async (db) => {
      const work = db.transaction(['chats', 'messages'], 'readwrite');
      await Promise.all([
        work.objectStore('chats').delete(id),
        ...messages.map((message) => work.objectStore('messages').delete(message.id)),
        work.done,
      ]);
    });
    this.#tell({ chat: id });
  }

  async savePreset(preset: Preset): Promise<void> {
    this.#presets.set(preset.name, preset);
    await this.#write((db) => db.put('presets', preset));
  }

  async deletePreset(name: string): Promise<void> {
    this.#presets.delete(name);
    await this.#write((db) => db.delete('presets', name));
  }

  async #read<T>(stored: (db: IDBPDatabase<Schema>) => Promise<T>, inMemory: () => T): Promise<T> {
    if (this.#db === undefined) return inMemory();
    try {
      return await stored(this.#db);
    } catch (error) {
      this.#lose(error);
      return inMemory();
    }
  }

  async #write(store: (db: IDBPDatabase<Schema>) => Promise<unknown>): Promise<void> {
    if (this.#db === undefined) return;
    try {
      await store(this.#db);
    } catch (error) {
      this.onTrouble(
        `This browser could not save the chat (${error instanceof Error ? error.message : error}). It is in this tab only: export it before you close the tab.`,
      );
    }
  }

  /** From here on in memory: with what this tab has written or read. */
  #lose(error: unknown): void {
    this.#db = undefined;
    this.onTrouble(
      `This browser keeps no chats here (${error instanceof Error ? error.message : error}): they are in this tab only. Export them before you close it.`,
    );
  }

  #tell(change: Change): void {
    this.#channel?.postMessage(change);
  }
}
