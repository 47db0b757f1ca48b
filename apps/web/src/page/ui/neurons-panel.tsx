// Neurons, live: what each token read and skipped, as a picture of every neuron, a strip of the answer's tokens, bytes and
// speed; and the same prompt once more with nothing skipped. Does not own drawing (neurons/).
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import type { ActivityLog } from '../neurons/activity-log.js';
import { type Colors, NeuronCanvas } from '../neurons/neuron-canvas.js';
import { bytes, percent, rate } from './format.js';

export function NeuronsPanel({ state }: { state: AppState }) {
  state.pulse.value; // as tokens come
  const id = state.watched.value;
  const log = id === undefined ? undefined : state.activity.get(id);
  const inspected = useSignal<number | undefined>(undefined);
  const loaded = state.engine.loaded.value;
  useEffect(() => {
    inspected.value = undefined;
  }, [id]);
  return (
    <aside class="neurons" aria-label="Neurons">
      <h2>Neurons</h2>
      {log === undefined || log.layers === 0 ? (
        <p class="note">
          {state.engine.loaded.value?.layers === 0
            ? 'A server tells what it read in sum, not which neurons.'
            : 'Each token of an answer shows here which neurons were read, and which were skipped because they are zero.'}
        </p>
      ) : (
        <>
          <Figures log={log} at={inspected.value} />
          <Picture state={state} log={log} inspected={inspected.value} />
          <TokenStrip
            state={state}
            log={log}
            onInspect={(token) => {
              inspected.value = token;
            }}
          />
          {loaded && !loaded.sparse && (
            <p class="note">
              Nothing in {loaded.name} is zero: every weight is read. A sparsity plan makes it skip; llama-tales skips
              by itself.
            </p>
          )}
          <Compare state={state} />
        </>
      )}
    </aside>
  );
}

function Figures({ log, at }: { log: ActivityLog; at: number | undefined }) {
  const index = at ?? log.tokens.length - 1;
  const token = log.tokens[index];
  const share = log.meanShare(index);
  return (
    <dl class="sums">
      <dt>{at === undefined ? 'This token' : `Token ${index + 1}`}</dt>
      <dd>
        <q>{token?.text ?? ''}</q>{' '}
        {share === undefined
          ? 'came with the prompt'
          : `${percent(share)} of ${(log.layers * log.neurons).toLocaleString('en')} neurons read`}
      </dd>
      <dt>Its bytes</dt>
      <dd>
        {token && token.denseWeightBytes > 0
          ? `${bytes(token.weightBytes)} read, ${bytes(token.denseWeightBytes)} if dense`
          : '–'}
      </dd>
      <dt>In all</dt>
      <dd>
        {log.denseWeightBytes > 0
          ? `${bytes(log.weightBytes)} read, ${bytes(log.denseWeightBytes)} if dense: ${bytes(log.denseWeightBytes - log.weightBytes)} skipped`
          : '–'}
      </dd>
    </dl>
  );
}

/** Of layers: more of them are too thin to be labelled. */
const mostLabels = 16;

function colorsOf(element: HTMLElement): Colors {
  const style = getComputedStyle(element);
  const color = (name: string): [number, number, number] => {
    const [r = 0, g = 0, b = 0] = style.getPropertyValue(name).split(/\s+/).map(Number);
    return [r, g, b];
  };
  return { skipped: color('--neuron-skipped'), read: color('--neuron-read'), gap: color('--neuron-gap') };
}

function Picture({ state, log, inspected }: { state: AppState; log: ActivityLog; inspected: number | undefined }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = useRef<NeuronCanvas | undefined>(undefined);
  const layer = useSignal<number | undefined>(undefined);
  useEffect(() => {
    if (canvas.current === null) return;
    const own = new NeuronCanvas(canvas.current, log.layers, log.neurons, colorsOf(canvas.current));
    picture.current = own;
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const recolor = () => {
      if (canvas.current) own.recolor(colorsOf(canvas.current));
    };
    scheme.addEventListener('change', recolor);
    return () => {
      own.dispose();
      scheme.removeEventListener('change', recolor);
    };
  }, [log]);
  const streaming = state.answering.value?.message.id === state.watched.value;
  useEffect(() => {
    if (inspected !== undefined)
      picture.current?.hold(
        log.tokens[inspected]?.neurons ?? Array.from({ length: log.layers }, () => new Uint32Array()),
      );
    else if (streaming)
      log.onTokens = (tokens) => {
        for (const { activity } of tokens) if (activity) picture.current?.light(activity.neurons);
      };
    else picture.current?.rest(log.frequencies().map(Math.sqrt));
    return () => {
      log.onTokens = undefined;
    };
  }, [inspected, log, streaming]);
  const index = inspected ?? log.tokens.length - 1;
  const share = log.meanShare(index);
  const own = layer.value === undefined ? undefined : log.shareOf(index, layer.value);
  return (
    <figure>
      <div class="picture">
        <canvas
          ref={canvas}
          role="img"
          aria-label={`${log.layers} layers of ${log.neurons} neurons${share === undefined ? '' : `: the token “${log.tokens[index]?.text.trim() ?? ''}” read ${percent(share)} of them`}`}
          onPointerMove={(event) => {
            const { top, height } = event.currentTarget.getBoundingClientRect();
            layer.value = picture.current?.layerAt((event.clientY - top) / height);
          }}
          onPointerLeave={() => {
            layer.value = undefined;
          }}
        />
        {log.layers <= mostLabels && (
          <ol aria-label="Read by layer">
            {Array.from({ length: log.layers }, (_, at) => {
              const read = log.shareOf(index, at);
              return <li key={at}>{read === undefined ? '–' : percent(read)}</li>;
            })}
          </ol>
        )}
      </div>
      <figcaption>
        {layer.value === undefined
          ? `A block a layer, a point a neuron. ${
              streaming || inspected !== undefined
                ? 'Coloured: read. Grey: skipped.'
                : 'The stronger, the more of the tokens read it.'
            }`
          : `Layer ${layer.value + 1} of ${log.layers}: ${own === undefined ? '–' : `${Math.round(own * log.neurons)} of ${log.neurons} neurons (${percent(own)})`}`}
      </figcaption>
    </figure>
  );
}

/** The answer's tokens, each shaded by what it read. Tokens are only ever added, so the list is not drawn anew. */
function TokenStrip({
  state,
  log,
  onInspect,
}: {
  state: AppState;
  log: ActivityLog;
  onInspect: (token: number | undefined) => void;
}) {
  const strip = useRef<HTMLOListElement>(null);
  const pulse = state.pulse.value;
  useEffect(() => strip.current?.replaceChildren(), [log]);
  useEffect(() => {
    const list = strip.current;
    if (list === null) return;
    const end = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    for (let at = list.childElementCount; at < log.tokens.length; at++) list.append(tokenItem(log, at));
    if (end) list.scrollTop = list.scrollHeight;
  }, [pulse, log]);
  const tokenOf = (target: EventTarget | null): number | undefined => {
    const { at } = (target as HTMLElement | null)?.dataset ?? {};
    return at === undefined ? undefined : Number(at);
  };
  const move = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tokenOf(event.target);
    if (by === undefined || at === undefined) return;
    event.preventDefault();
    (strip.current?.children[at + by]?.firstElementChild as HTMLElement | null)?.focus();
  };
  return (
    <ol
      class="tokens"
      ref={strip}
      aria-label="Tokens of the answer"
      onPointerOver={({ target }) => onInspect(tokenOf(target))}
      onPointerLeave={() => onInspect(tokenOf(document.activeElement))}
      onFocusIn={({ target }) => onInspect(tokenOf(target))}
      onFocusOut={() => onInspect(undefined)}
      onKeyDown={move}
    />
  );
}

function tokenItem(log: ActivityLog, at: number): HTMLLIElement {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const { text } = log.tokens[at] as { text: string };
  button.type = 'button';
  button.dataset.at = String(at);
  button.tabIndex = at === 0 ? 0 : -1;
  button.textContent = text.replaceAll('\n', '⏎') || '∎';
  const share = log.meanShare(at);
  button.setAttribute(
    'aria-label',
    `${text.trim() || 'no text'}${share === undefined ? '' : `, ${percent(share)} read`}`,
  );
  if (share !== undefined) button.style.setProperty('--share', String(Math.min(1, Math.sqrt(share))));
  item.append(button);
  return item;
}

function Compare({ state }: { state: AppState }) {
  const { comparison, chats, answering } = state;
  const message = useComputed(() => chats.messages.value.get(state.watched.value ?? ''));
  const own = message.value;
  const result = comparison.value?.message === own?.id ? comparison.value : undefined;
  if (own === undefined || state.engine.loaded.value === undefined) return null;
  const { sparse, dense, running } = result ?? {};
  return (
    <section class="compare" aria-label="Skipping against reading everything">
      <button
        type="button"
        class="primary"
        disabled={answering.value !== undefined}
        onClick={() => void state.compare(own)}
      >
        Run the same prompt dense
      </button>
      {running && <p role="status">{running === 'dense' ? 'Reading every weight…' : 'Skipping again…'}</p>}
      {(sparse || dense) && (
        <table>
          <thead>
            <tr>
              <th scope="col">weights</th>
              <th scope="col">tokens/s</th>
              <th scope="col">bytes a token</th>
            </tr>
          </thead>
          <tbody>
            {sparse && <Row name="skipping" answer={sparse} />}
            {dense && <Row name="all read" answer={dense} />}
          </tbody>
        </table>
      )}
      {sparse && dense && (
        <p>
          {sparse.text === dense.text ? 'The same text, ' : 'Not the same text, '}
          {`${(sparse.tokensPerSecond / dense.tokensPerSecond).toFixed(2)} times as fast.`}
        </p>
      )}
    </section>
  );
}

function Row({ name, answer }: { name: string; answer: { tokensPerSecond: number; weightBytes?: number } }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{rate(answer.tokensPerSecond)}</td>
      <td>{answer.weightBytes === undefined ? '–' : bytes(answer.weightBytes)}</td>
    </tr>
  );
}
