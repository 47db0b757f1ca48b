// The page's entry: isolates it where the server did not, then shows it. Owns the order of the first second.
import { render } from 'preact';
import { AppState } from './app-state.js';
import { isolatePage } from './isolation.js';
import { App } from './ui/app.js';

const root = document.getElementById('app') as HTMLElement;
if (!(await isolatePage())) {
  const state = new AppState();
  await state.start();
  root.replaceChildren();
  render(<App state={state} />, root);
  void state.engine.start(new URLSearchParams(location.search).get('model') ?? undefined);
}
