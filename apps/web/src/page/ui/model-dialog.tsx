// Choosing a model: what lies beside the page, names on the hub, files of one's own, a server; how it is loaded; and what
// this browser keeps. Does not own loading (loaded-engine.ts).
import { useSignal } from '@preact/signals';
import { type ReadyMadePlan, readyMadePlans } from '@relufy/predictor/plans';
import { useEffect, useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import type { LoadChoice, ModelChoice, PlanChoice } from '../engine/engine.js';
import { bundledChoice, plainChoice } from '../loaded-engine.js';
import { deleteKept, type KeptModelSize, listKept } from '../models/model-store.js';
import { Dialog } from './dialog.js';
import { bytes } from './format.js';

const defaultHub = 'https://huggingface.co';
type How = Pick<LoadChoice, 'dtype' | 'threads' | 'contextLength'>;

export function ModelDialog({ state, onClose }: { state: AppState; onClose: () => void }) {
  const how = useSignal<How>({ dtype: 'auto', threads: 0, contextLength: 0 });
  const plan = useSignal<PlanChoice | undefined>(undefined);
  const kept = useSignal<readonly KeptModelSize[]>([]);
  const { engine } = state;
  const refresh = () =>
    void listKept().then((list) => {
      kept.value = list;
    });
  useEffect(refresh, [engine.loaded.value]);
  const load = (model: ModelChoice) => {
    onClose();
    void engine.load({ ...plainChoice(model), ...how.value, ...(plan.value && { plan: plan.value }) }).catch(() => {});
  };
  return (
    <Dialog title="Models" onClose={onClose}>
      <section>
        <h3>Beside this page</h3>
        <ul class="offers">
          {engine.site.value.models.map(({ name, files }) => (
            <li key={name}>
              <button type="button" onClick={() => load(bundledChoice(name).model)}>
                <strong>{name}</strong> <span>{bytes(files.reduce((sum, { size }) => sum + size, 0))}</span>
              </button>
            </li>
          ))}
        </ul>
      </section>
      <OwnFiles state={state} onLoad={load} />
      <Hub onLoad={load} />
      <Plan
        plan={plan.value}
        models={engine.site.value.models.map(({ name }) => name)}
        onChange={(choice) => {
          plan.value = choice;
        }}
        onLoad={(name) => load(bundledChoice(name).model)}
      />
      <HowToLoad
        how={how.value}
        onChange={(changed) => {
          how.value = changed;
        }}
      />
      <Server state={state} onClose={onClose} />
      <Kept kept={kept.value} onLoad={load} onDeleted={refresh} />
      {engine.loaded.value && (
        <p>
          <button type="button" onClick={() => engine.unload()}>
            Unload {engine.loaded.value.name}
          </button>
        </p>
      )}
    </Dialog>
  );
}

/** The files of a picker: of a folder with their path in it. */
const named = (list: FileList | null): Record<string, File> =>
  Object.fromEntries([...(list ?? [])].map((file) => [file.webkitRelativePath || file.name, file]));

function OwnFiles({ state, onLoad }: { state: AppState; onLoad: (model: ModelChoice) => void }) {
  const { picked } = state.engine;
  const files = picked.value;
  const take = (list: FileList | null) => {
    picked.value = named(list);
  };
  return (
    <section>
      <h3>Files on this device</h3>
      <p class="note">
        A GGUF file, or the files or the folder of a model: config.json, safetensors, tokenizer. Or drop them on the
        page.
      </p>
      <p class="row">
        <label class="button">
          Choose files
          <input type="file" multiple onChange={({ currentTarget }) => take(currentTarget.files)} />
        </label>
        <label class="button">
          Choose a folder
          {/* @ts-expect-error not in the types: every browser has it */}
          <input type="file" webkitdirectory onChange={({ currentTarget }) => take(currentTarget.files)} />
        </label>
      </p>
      {files && (
        <p class="row">
          <span>{describe(files)}</span>
          <button
            type="button"
            class="primary"
            disabled={Object.keys(files).length === 0}
            onClick={() => {
              onLoad({ kind: 'files', name: nameOf(files), files });
              picked.value = undefined;
            }}
          >
            Load {nameOf(files)}
          </button>
        </p>
      )}
    </section>
  );
}

function describe(files: Readonly<Record<string, File>>): string {
  const list = Object.values(files);
  return `${list.length} ${list.length === 1 ? 'file' : 'files'}, ${bytes(list.reduce((sum, { size }) => sum + size, 0))}`;
}

function nameOf(files: Readonly<Record<string, File>>): string {
  const [first = 'model'] = Object.keys(files);
  return first.includes('/') ? (first.split('/')[0] as string) : first;
}

function Hub({ onLoad }: { onLoad: (model: ModelChoice) => void }) {
  const id = useSignal('');
  const endpoint = useSignal(defaultHub);
  return (
    <section>
      <h3>Hugging Face Hub</h3>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          onLoad({ kind: 'hub', id: id.value.trim(), endpoint: endpoint.value.trim() || defaultHub });
        }}
      >
        <input
          aria-label="Name on the hub"
          placeholder="HuggingFaceTB/SmolLM2-360M-Instruct"
          value={id.value}
          onInput={({ currentTarget }) => {
            id.value = currentTarget.value;
          }}
        />
        <button type="submit" disabled={!/^[\w.-]+\/[\w.-]+/.test(id.value.trim())}>
          Download and load
        </button>
        <details>
          <summary>Address of the hub</summary>
          <input
            aria-label="Address of the hub"
            value={endpoint.value}
            onInput={({ currentTarget }) => {
              endpoint.value = currentTarget.value;
            }}
          />
        </details>
      </form>
      <p class="note">
        Also user/name@revision, and user/name:Q4_0 for one of several GGUF files. This asks the hub, and nobody else;
        the model stays in this browser.
      </p>
    </section>
  );
}

function Plan({
  plan,
  models,
  onChange,
  onLoad,
}: {
  plan: PlanChoice | undefined;
  /** Beside the page. */
  models: readonly string[];
  onChange: (plan: PlanChoice | undefined) => void;
  /** One of them, with the plan. */
  onLoad: (model: string) => void;
}) {
  const ready = readyMadePlans.find(({ name }) => plan?.kind === 'ready-made' && name === plan.name);
  const model = ready && modelOf(ready);
  return (
    <section>
      <h3>Sparsity plan</h3>
      <p class="note">
        Makes another model sparse, and changes its answers; without one, only models with ReLU skip anything. Choose
        one here or a folder with sparsity_config.json, then load the model that it was made for.
      </p>
      <p class="row">
        <select
          aria-label="Plan"
          value={ready?.name ?? ''}
          onChange={({ currentTarget: { value: name } }) =>
            onChange(name === '' ? undefined : { kind: 'ready-made', name })
          }
        >
          <option value="">{plan?.kind === 'files' ? 'files of yours' : 'none'}</option>
          {readyMadePlans.map((one) => (
            <option key={one.name} value={one.name}>
              {modelOf(one)}, {one.method}: {percent(one.sparsity)} of the weights skipped
            </option>
          ))}
        </select>
        <label class="button">
          Choose the plan's files
          <input
            type="file"
            multiple
            onChange={({ currentTarget }) => {
              const files = named(currentTarget.files);
              onChange(Object.keys(files).length === 0 ? undefined : { kind: 'files', name: 'plan', files });
            }}
          />
        </label>
        {plan?.kind === 'files' && <span>{Object.keys(plan.files).join(', ')}</span>}
        {plan && (
          <button type="button" onClick={() => onChange(undefined)}>
            Without a plan
          </button>
        )}
      </p>
      {ready && (
        <p class="row">
          <span>
            Perplexity {ready.cost.densePerplexity} without, {ready.cost.perplexity} with it ({ready.cost.text}).
          </span>
          {model && models.includes(model) && (
            <button type="button" class="primary" onClick={() => onLoad(model)}>
              Load {model} with it
            </button>
          )}
        </p>
      )}
    </section>
  );
}

/** As the page calls it: the name of the hub without its owner. */
const modelOf = ({ model }: ReadyMadePlan): string => model.replace(/^.*\//, '').toLowerCase();

const percent = (share: number): string => `${Math.round(100 * share)} %`;

function HowToLoad({ how, onChange }: { how: How; onChange: (how: How) => void }) {
  const number = (value: string) => Math.max(0, Math.floor(Number(value) || 0));
  return (
    <details>
      <summary>How to load</summary>
      <p class="row">
        <label>
          Weights
          <select
            value={how.dtype}
            onChange={({ currentTarget }) => onChange({ ...how, dtype: currentTarget.value as How['dtype'] })}
          >
            <option value="auto">as stored</option>
            {['f32', 'bf16', 'int8', 'int4', 'uint4'].map((dtype) => (
              <option key={dtype} value={dtype}>
                {dtype}
              </option>
            ))}
          </select>
        </label>
        <label>
          Threads
          <input
            type="number"
            min={0}
            max={64}
            value={how.threads}
            onInput={({ currentTarget }) => onChange({ ...how, threads: number(currentTarget.value) })}
          />
        </label>
        <label>
          Context
          <input
            type="number"
            min={0}
            step={128}
            value={how.contextLength}
            onInput={({ currentTarget }) => onChange({ ...how, contextLength: number(currentTarget.value) })}
          />
        </label>
      </p>
      <p class="note">
        0 leaves the choice to the engine.
        {!crossOriginIsolated && ' This page is not isolated, so there is one thread.'}
      </p>
    </details>
  );
}

function Server({ state, onClose }: { state: AppState; onClose: () => void }) {
  const url = useRef<HTMLInputElement>(null);
  const key = useRef<HTMLInputElement>(null);
  const model = useRef<HTMLInputElement>(null);
  const own = state.engine.site.value.server;
  return (
    <section>
      <h3>Server</h3>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const text = (field: { current: HTMLInputElement | null }) => field.current?.value.trim() ?? '';
          onClose();
          void state.engine
            .connect({
              url: text(url),
              ...(text(key) && { key: text(key) }),
              ...(text(model) && { model: text(model) }),
            })
            .catch(() => {});
        }}
      >
        <input
          ref={url}
          type="url"
          required
          aria-label="Address of the server"
          defaultValue={own ? new URL(own, document.baseURI).href : 'http://localhost:8080/v1'}
        />
        <input ref={model} aria-label="Model of the server" placeholder="its first model" />
        <input
          ref={key}
          type="password"
          autocomplete="off"
          aria-label="Key of the server"
          placeholder="key, if it wants one"
        />
        <button type="submit">Connect</button>
      </form>
      <p class="note">relufy serve, or any server with OpenAI's routes. The key is kept until the tab is closed.</p>
    </section>
  );
}

function Kept({
  kept,
  onLoad,
  onDeleted,
}: {
  kept: readonly KeptModelSize[];
  onLoad: (model: ModelChoice) => void;
  onDeleted: () => void;
}) {
  const room = useSignal('');
  useEffect(() => {
    void navigator.storage?.estimate?.().then(({ usage = 0, quota = 0 }) => {
      room.value = `${bytes(usage)} of ${bytes(quota)} that the browser gives this page are used.`;
    });
  }, [kept]);
  return (
    <section>
      <h3>Kept in this browser</h3>
      {kept.length === 0 && <p class="note">None.</p>}
      <ul class="kept">
        {kept.map(({ key, name, bytes: size, complete, choice }) => (
          <li key={key}>
            <span>
              {name}, {bytes(size)}
              {!complete && ' (incomplete)'}
            </span>
            <button
              type="button"
              onClick={() => onLoad(choice.kind === 'bundled' ? bundledChoice(name).model : choice)}
            >
              {complete ? 'Load' : 'Resume'}
            </button>
            <button
              type="button"
              class="danger"
              aria-label={`Delete ${name} from this browser`}
              onClick={() => void deleteKept(key).then(onDeleted)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
      <p class="note">{room.value}</p>
    </section>
  );
}
