// What the page shows and what a person can do, as signals and actions. Owns the order of things: a chat is saved before
// it is answered, one answer runs at a time, a model is loaded before the first. Does not own storage (chats/), engines
// (engine/) or pictures (ui/).
import { signal } from '@preact/signals';
import type { Settings } from '@relufy/chat/settings';
import { ChatStore } from './chats/chat-store.js';
import { type Message, newId, pathTo, timestamp } from './chats/chat-tree.js';
import { Chats } from './chats/chats.js';
import type { Answer, Token } from './engine/engine.js';
import { LoadedEngine } from './loaded-engine.js';
import { ActivityLog } from './neurons/activity-log.js';
import { type Notice, Notices } from './notices.js';

/** An answer that is being written. */
export interface Answering {
  readonly message: Message;
  readonly text: string;
  readonly tokensPerSecond: number;
  readonly stop: () => void;
}

/** The same prompt, once skipping and once reading everything. */
export interface Comparison {
  readonly message: string;
  readonly sparse: Answer | undefined;
  readonly dense: Answer | undefined;
  /** Of the one that runs. */
  readonly running: 'sparse' | 'dense' | undefined;
}

const saveEveryMs = 2000;
/** The picture of the neurons changes with every frame; text and figures as fast as people read. */
const textEveryMs = 33;
const pulseEveryMs = 150;

export class AppState {
  readonly store = new ChatStore();
  readonly notices = new Notices();
  readonly chats = new Chats(this.store);
  readonly engine = new LoadedEngine(this.notices);
  readonly answering = signal<Answering | undefined>(undefined);
  /** Tokens of the context that the conversation takes; undefined: not known. */
  readonly used = signal<number | undefined>(undefined);
  /** Ids of messages that the model does not see any more. */
  readonly forgotten = signal<ReadonlySet<string>>(new Set());
  /** By message, for as long as the page is open. */
  readonly activity = new Map<string, ActivityLog>();
  /** The answer whose neurons are shown. */
  readonly watched = signal<string | undefined>(undefined);
  /** Rises now and then while the answer that is watched grows, and at its end. */
  readonly pulse = signal(0);
  readonly comparison = signal<Comparison | undefined>(undefined);
  /** Said to screen readers. */
  readonly spoken = signal('');

  async start(): Promise<void> {
    this.store.onTrouble = (text) => this.notices.show({ kind: 'warning', text });
    await this.store.open();
    await this.chats.start();
    this.engine.onChange = () => void this.count();
  }

  /** @returns false where nothing was sent. */
  async send(text: string): Promise<boolean> {
    if (text.trim() === '' || this.answering.value) return false;
    const chat = await this.chats.ensure(text);
    const question = await this.chats.add({
      id: newId(),
      chat: chat.id,
      parent: chat.leaf,
      role: 'user',
      text,
      createdAt: timestamp(),
    });
    await this.#answer(question);
    return true;
  }

  /** Another version of a question, beside the old one, and its answer. */
  async edit(message: Message, text: string): Promise<void> {
    if (this.answering.value || text.trim() === '') return;
    const question = await this.chats.add({
      id: newId(),
      chat: message.chat,
      parent: message.parent,
      role: 'user',
      text,
      createdAt: timestamp(),
    });
    await this.#answer(question);
  }

  /** Another answer, beside the old one. */
  async regenerate(message: Message): Promise<void> {
    const question = this.chats.messages.value.get(message.parent);
    if (this.answering.value || question === undefined) return;
    await this.#answer(question);
  }

  stop(): void {
    this.answering.value?.stop();
  }

  async open(id: string | undefined): Promise<void> {
    this.stop();
    await this.chats.open(id);
    this.watched.value = undefined;
    this.comparison.value = undefined;
    this.forgotten.value = new Set();
    await this.count();
  }

  async count(): Promise<void> {
    const { loaded } = this.engine;
    const { chat } = this.chats;
    const path = this.chats.path().filter(({ id }) => !this.forgotten.value.has(id));
    this.used.value = loaded.value
      ? await this.engine.count(chat.value?.system ?? this.chats.draft.value.system, messagesOf(path))
      : undefined;
  }

  async #answer(question: Message): Promise<void> {
    const { chats } = this;
    const chat = chats.chat.value;
    if (chat === undefined) return;
    const stop = new AbortController();
    let message: Message = {
      id: newId(),
      chat: chat.id,
      parent: question.id,
      role: 'assistant',
      text: '',
      createdAt: timestamp(),
    };
    const shown = (text: string, tokensPerSecond: number) => {
      this.answering.value = {
        message,
        text,
        tokensPerSecond,
        stop: () => stop.abort(stopped()),
      };
    };
    await chats.add(message);
    shown('', 0);
    this.spoken.value = 'Answering';
    let text = '';
    try {
      const loaded = await this.engine.require(stop.signal);
      const settings: Settings = { ...loaded.recommended, ...chat.settings };
      message = { ...message, model: loaded.name, settings };
      const log = new ActivityLog(loaded.layers, loaded.neurons);
      this.activity.set(message.id, log);
      this.watched.value = message.id;
      this.comparison.value = undefined;
      const rate = new Rate();
      let saved = performance.now();
      let [drawn, pulsed] = [0, 0];
      const hear = (tokens: readonly Token[]): void => {
        for (const token of tokens) {
          text += token.text;
          log.push(token);
        }
        rate.count(tokens.length);
        log.onTokens?.(tokens);
        const now = performance.now();
        if (now - drawn >= textEveryMs) {
          drawn = now;
          shown(text, rate.perSecond);
        }
        if (now - pulsed >= pulseEveryMs) {
          pulsed = now;
          this.pulse.value++;
        }
        if (now - saved < saveEveryMs) return;
        saved = performance.now();
        void this.store.saveMessage({ ...message, text, finish: 'abort' });
      };
      const before = pathTo(chats.messages.value, question.id);
      const answer = await this.engine.generate(
        {
          system: chat.system,
          messages: messagesOf(before),
          settings,
          dense: false,
          activity: true,
          signal: stop.signal,
        },
        hear,
      );
      message = { ...message, text: answer.text, finish: answer.finishReason, figures: figuresOf(answer) };
      const given = heard(before);
      this.forgotten.value = new Set(answer.forgotten.map((place) => given[place]?.id ?? ''));
      this.comparison.value = { message: message.id, sparse: answer, dense: undefined, running: undefined };
    } catch (error) {
      const wasStopped = stop.signal.aborted;
      message = {
        ...message,
        text,
        finish: 'abort',
        ...(!wasStopped && { error: error instanceof Error ? error.message : String(error) }),
      };
    }
    // in this order: without either, the answer would be gone for a moment
    await chats.update(message);
    this.answering.value = undefined;
    this.pulse.value++;
    this.spoken.value = message.error ?? (message.finish === 'abort' ? 'Stopped' : `Answer: ${message.text}`);
    await this.count();
  }

  /** Writes an answer once more, reading every weight: with the same seed it is the same text. */
  async compare(message: Message): Promise<void> {
    const chat = this.chats.chat.value;
    const question = this.chats.messages.value.get(message.parent);
    const { loaded } = this.engine;
    if (chat === undefined || question === undefined || loaded.value === undefined || this.answering.value) return;
    const stop = new AbortController();
    const seed = message.figures?.seed;
    const settings: Settings = { ...message.settings, ...(seed !== undefined && { seed }) };
    const before = messagesOf(pathTo(this.chats.messages.value, question.id));
    const run = (running: 'sparse' | 'dense', more: Settings = {}) => {
      let text = '';
      const rate = new Rate();
      const request = {
        system: chat.system,
        messages: before,
        settings: { ...settings, ...more },
        dense: running === 'dense',
        activity: false,
        signal: stop.signal,
      };
      return this.engine.generate(request, (tokens) => {
        for (const token of tokens) text += token.text;
        rate.count(tokens.length);
        this.answering.value = { message, text, tokensPerSecond: rate.perSecond, stop: () => stop.abort(stopped()) };
      });
    };
    const show = (more: Partial<Comparison>) => {
      this.comparison.value = {
        message: message.id,
        sparse: undefined,
        dense: undefined,
        running: undefined,
        ...this.comparison.value,
        ...more,
      };
    };
    try {
      show({ running: 'dense', sparse: undefined, dense: undefined });
      // both anew, each after a few tokens that nobody counts: the engine compiles what it runs often
      for (const running of ['dense', 'sparse'] as const) {
        show({ running });
        await run(running, { maxNewTokens: 24 });
        const answer = await run(running);
        if (stop.signal.aborted) break;
        show({ [running]: answer, running: undefined });
      }
      if (stop.signal.aborted) return show({ running: undefined, sparse: undefined, dense: undefined });
      const { sparse, dense } = this.comparison.value ?? {};
      this.spoken.value = `${sparse?.text === dense?.text ? 'The same text' : 'Another text'}: ${Math.round(sparse?.tokensPerSecond ?? 0)} tokens a second skipping, ${Math.round(dense?.tokensPerSecond ?? 0)} reading everything`;
    } catch (error) {
      show({ running: undefined });
      if (!stop.signal.aborted)
        this.notices.show({ kind: 'error', text: error instanceof Error ? error.message : String(error) });
    } finally {
      this.answering.value = undefined;
    }
  }
}

export type { Notice };

const stopped = (): DOMException => new DOMException('Stopped.', 'AbortError');

interface Said {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** What the model gets: an answer that failed without a word is left out, with its question. */
const heard = (path: readonly Message[]): readonly Message[] =>
  path.filter(({ role, text }, at) => (role === 'user' ? path[at + 1]?.text !== '' : text !== ''));

const messagesOf = (path: readonly Message[]): Said[] => heard(path).map(({ role, text }) => ({ role, content: text }));

function figuresOf({
  promptTokens,
  cachedTokens,
  completionTokens,
  tokensPerSecond,
  seed,
  weightBytes,
  denseWeightBytes,
}: Answer) {
  return {
    ...{ promptTokens, cachedTokens, completionTokens, tokensPerSecond },
    ...(seed !== undefined && { seed }),
    ...(weightBytes !== undefined && { weightBytes }),
    ...(denseWeightBytes !== undefined && { denseWeightBytes }),
  };
}

/** Tokens a second over the last second, for the eye. */
class Rate {
  #times: { at: number; tokens: number }[] = [];

  count(tokens: number): void {
    const now = performance.now();
    this.#times.push({ at: now, tokens });
    while (this.#times.length > 2 && now - (this.#times[0]?.at ?? now) > 1000) this.#times.shift();
  }

  get perSecond(): number {
    const [first] = this.#times;
    const last = this.#times.at(-1);
    if (first === undefined || last === undefined || last.at === first.at) return 0;
    return (1000 * this.#times.slice(1).reduce((sum, { tokens }) => sum + tokens, 0)) / (last.at - first.at);
  }
}
