// Progress of a download over all its files, in the events that transformers.js sends, so that code for them works here.
// Does not own: downloading.

export type HubProgress =
  | { readonly status: 'initiate' | 'download' | 'done'; readonly name: string; readonly file: string }
  | {
      readonly status: 'progress';
      readonly name: string;
      readonly file: string;
      readonly loaded: number;
      readonly total: number;
      /** 0 to 100 */
      readonly progress: number;
    }
  | {
      readonly status: 'progress_total';
      readonly name: string;
      readonly loaded: number;
      readonly total: number;
      readonly progress: number;
      readonly files: Readonly<Record<string, { readonly loaded: number; readonly total: number }>>;
    }
  /** The hub is asked what it has; nothing is known of the files yet. `reason`: why it is asked once more. */
  | { readonly status: 'connect'; readonly name: string; readonly endpoint: string; readonly reason?: string }
  /** The hub could not be reached; the copy in the cache is used. */
  | { readonly status: 'cached'; readonly name: string; readonly reason: string };

const everyMs = 100;

export class ProgressOfFiles {
  readonly #name: string;
  readonly #send: ((event: HubProgress) => void) | undefined;
  readonly #files = new Map<string, { loaded: number; total: number }>();
  readonly #sent = new Map<string, number>();

  constructor(name: string, send: ((event: HubProgress) => void) | undefined) {
    this.#name = name;
    this.#send = send;
  }

  connect(endpoint: string): void {
    this.#send?.({ status: 'connect', name: this.#name, endpoint });
  }

  /** All files must be known before the first one starts, or the total would grow while it is shown. */
  expect(file: string, total: number): void {
    this.#files.set(file, { loaded: 0, total });
    this.#send?.({ status: 'initiate', name: this.#name, file });
  }

  start(file: string): void {
    this.#send?.({ status: 'download', name: this.#name, file });
  }

  loaded(file: string, loaded: number): void {
    const state = this.#files.get(file);
    if (!state || !this.#send) return;
    state.loaded = loaded;
    const now = performance.now();
    if (loaded < state.total && now - (this.#sent.get(file) ?? Number.NEGATIVE_INFINITY) < everyMs) return;
    this.#sent.set(file, now);
    this.#send({ status: 'progress', name: this.#name, file, ...withPercent(state) });
    const all = [...this.#files.values()];
    const sum = (key: 'loaded' | 'total'): number => all.reduce((total, entry) => total + entry[key], 0);
    this.#send({
      status: 'progress_total',
      name: this.#name,
      ...withPercent({ loaded: sum('loaded'), total: sum('total') }),
      files: Object.fromEntries([...this.#files].map(([path, entry]) => [path, { ...entry }])),
    });
  }

  done(file: string): void {
    this.#send?.({ status: 'done', name: this.#name, file });
  }
}

const withPercent = ({ loaded, total }: { loaded: number; total: number }) => ({
  loaded,
  total,
  progress: total === 0 ? 100 : (100 * loaded) / total,
});
