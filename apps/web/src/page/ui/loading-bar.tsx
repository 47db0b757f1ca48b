// One bar over all files of a model: what is done, how fast, how long it will take. Does not own loading (loaded-engine.ts).
import type { AppState } from '../app-state.js';
import type { LoadProgress } from '../engine/engine.js';
import { bytes, duration } from './format.js';

const said: Readonly<Record<LoadProgress['stage'], string>> = {
  looking: 'Looking for the files of',
  waiting: 'Another tab is downloading',
  downloading: 'Downloading',
  verifying: 'Checking what is here of',
  loading: 'Loading',
};

export function LoadingBar({ state }: { state: AppState }) {
  const loading = state.engine.loading.value;
  if (loading === undefined) return null;
  const { name, progress, rate, stop } = loading;
  const { stage, loaded, total } = progress;
  const left = stage === 'downloading' && rate > 0 ? (total - loaded) / rate : undefined;
  return (
    <section class="loading-bar" aria-label="Loading the model">
      <p>
        {said[stage]} {name}
        {total > 0 && `: ${bytes(loaded)} of ${bytes(total)}`}
        {left !== undefined && `, ${bytes(rate)}/s, ${duration(left)} left`}
      </p>
      <progress aria-label={`${said[stage]} ${name}`} {...(total > 0 ? { value: loaded, max: total } : {})} />
      <button type="button" onClick={stop}>
        Cancel
      </button>
    </section>
  );
}
