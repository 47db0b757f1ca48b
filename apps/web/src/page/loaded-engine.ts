// The engine that the page speaks to, and the model in it: loading, its progress, and what happens when it dies.
// Remembers the last choice, so that a reload finds its model. Does not own engines (engine/) nor where files come from.
import { signal } from '@preact/signals';
import { BrowserEngine } from './engine/browser-engine.js';
import type { Answer, ChatRequest, Engine, LoadChoice, LoadedModel, LoadProgress, Token } from './engine/engine.js';
import { type ServerAddress, ServerEngine } from './engine/server-engine.js';
import { type SiteModels, siteModels } from './models/bundled.js';
import { keyOf, listKept } from './models/model-store.js';
import type { Notices } from './notices.js';

export interface Loading {
  readonly name: string;
  readonly progress: LoadProgress;
  /** Bytes a second of the download; 0: not known yet. */
  readonly rate: number;
  readonly stop: () => void;
}

export const defaultModel = 'llama-tales';
const lastKey = 'relufy-model';

/** Of a model that is named alone. */
export const plainChoice = (model: LoadChoice['model']): LoadChoice => ({
  model,
  dtype: 'auto',
  threads: 0,
  contextLength: 0,
});

export const bundledChoice = (name: string): LoadChoice =>
  plainChoice({ kind: 'bundled', name, base: document.baseURI });

export class LoadedEngine {
  readonly loading = signal<Loading | undefined>(undefined);
  readonly loaded = signal<LoadedModel | undefined>(undefined);
  readonly site = signal<SiteModels>({ models: [] });
  /** Files that were picked or dropped, for the dialog. */
  readonly picked = signal<Readonly<Record<string, File>> | undefined>(undefined);
  /** Another model is loaded, or none. */
  onChange: () => void = () => {};
  readonly #notices: Notices;
  #engine: Engine | undefined;
  #choice: LoadChoice | undefined;
  #work: Promise<LoadedModel> | undefined;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** What lies beside the page; a server that answers there is taken at once, and else the last model if it is kept here. */
  async start(wanted: string | undefined): Promise<void> {
    try {
      this.site.value = await siteModels(document.baseURI);
    } catch {
      this.#notices.show({
        kind: 'warning',
        text: 'The list of models beside this page could not be read. Open a file or folder, or name a model of the hub.',
      });
    }
    const { server } = this.site.value;
    if (server !== undefined) return void this.connect({ url: new URL(server, document.baseURI).href }).catch(() => {});
    const choice = wanted === undefined ? await lastChoice() : bundledChoice(wanted);
    if (choice) await this.load(choice).catch(() => {});
  }

  load(choice: LoadChoice): Promise<LoadedModel> {
    if (!(this.#engine instanceof BrowserEngine)) this.#engine?.dispose();
    const engine = this.#engine instanceof BrowserEngine ? this.#engine : new BrowserEngine();
    const { model } = choice;
    const name = model.kind === 'hub' ? model.id : model.name;
    this.#choice = choice;
    if (model.kind !== 'files') void navigator.storage?.persist?.().catch(() => {});
    return this.#start(engine, name, choice).then((loaded) => {
      remember(choice);
      return loaded;
    });
  }

  connect(address: ServerAddress): Promise<LoadedModel> {
    this.#engine?.dispose();
    const engine = new ServerEngine(address);
    return this.#start(engine, address.url, bundledChoice(''));
  }

  #start(engine: Engine, name: string, choice: LoadChoice): Promise<LoadedModel> {
    this.loading.value?.stop();
    const stop = new AbortController();
    this.#engine = engine;
    this.loaded.value = undefined;
    engine.onDeath = () => this.#died(engine);
    let [since, from, rate] = [0, 0, 0];
    const hear = (progress: LoadProgress) => {
      if (stop.signal.aborted) return;
      if (progress.stage !== 'downloading') since = 0;
      else if (since === 0) [since, from] = [performance.now(), progress.loaded];
      else if (performance.now() - since > 300) rate = (1000 * (progress.loaded - from)) / (performance.now() - since);
      this.loading.value = { name, progress, rate, stop: () => stop.abort(new DOMException('Stopped.', 'AbortError')) };
    };
    hear({ stage: 'looking', loaded: 0, total: 0 });
    const work = engine
      .load(choice, hear, stop.signal)
      .then((loaded) => {
        this.loaded.value = loaded;
        if (loaded.notKept)
          this.#notices.show({ kind: 'warning', text: `${loaded.name} is in memory only. ${loaded.notKept}` });
        return loaded;
      })
      .catch((error: unknown) => {
        if (!stop.signal.aborted)
          this.#notices.show({ kind: 'error', text: error instanceof Error ? error.message : String(error) });
        throw error;
      })
      .finally(() => {
        if (this.#work === work) {
          this.loading.value = undefined;
          this.onChange();
        }
      });
    this.#work = work;
    return work;
  }

  /** The model that is loaded or being loaded; else the last one again, or the one that comes with the page. */
  async require(signal: AbortSignal): Promise<LoadedModel> {
    const waiting = this.loading.value;
    signal.addEventListener('abort', () => waiting?.stop(), { once: true });
    if (this.loaded.value) return this.loaded.value;
    const work = waiting && this.#work ? this.#work : this.load(this.#choice ?? bundledChoice(defaultModel));
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    return Promise.race([work, stopped]);
  }

  generate(request: ChatRequest, hear: (tokens: readonly Token[]) => void): Promise<Answer> {
    if (this.#engine === undefined) return Promise.reject(new Error('No model is loaded. Choose one.'));
    return this.#engine.generate(request, hear);
  }

  async count(system: string, messages: ChatRequest['messages']): Promise<number | undefined> {
    return this.#engine?.count(system, messages).catch(() => undefined);
  }

  unload(): void {
    this.loading.value?.stop();
    this.#engine?.dispose();
    this.#engine = undefined;
    this.loaded.value = undefined;
    this.onChange();
  }

  #died(engine: Engine): void {
    if (this.#engine !== engine) return;
    this.#engine = undefined;
    this.loaded.value = undefined;
    this.loading.value = undefined;
    this.#notices.show({
      kind: 'error',
      text: 'The engine stopped, perhaps for want of memory. Your chats are kept; the next message loads the model again.',
    });
    this.onChange();
  }
}

function remember(choice: LoadChoice): void {
  try {
    if (choice.model.kind !== 'files' && choice.plan?.kind !== 'files')
      localStorage.setItem(lastKey, JSON.stringify(choice));
  } catch {} // storage is off
}

/** The model of the last visit, if it is here whole: nothing is downloaded unasked. */
async function lastChoice(): Promise<LoadChoice | undefined> {
  try {
    const choice = JSON.parse(localStorage.getItem(lastKey) ?? '') as LoadChoice;
    const { model } = choice;
    if (model.kind === 'files') return undefined;
    const kept = (await listKept()).some(({ key, complete }) => complete && key === keyOf(model));
    if (!kept) return undefined;
    return model.kind === 'bundled' ? { ...choice, model: { ...model, base: document.baseURI } } : choice;
  } catch {
    return undefined;
  }
}
