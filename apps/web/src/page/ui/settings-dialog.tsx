// What a chat begins with: the system prompt and how answers are sampled, with presets of one's own. The fields follow
// from the table that the terminal chat reads (@relufy/chat). Does not own what a setting does.

import { useSignal } from '@preact/signals';
import type { Settings } from '@relufy/chat/settings';
import { settingTable } from '@relufy/chat/settings';
import { useRef } from 'preact/hooks';
import type { AppState } from '../app-state.js';
import type { Preset } from '../chats/chat-store.js';
import { Dialog } from './dialog.js';

const given: readonly Preset[] = [
  { name: 'As the model says', system: '', settings: {} },
  {
    name: 'Always the likeliest',
    system: '',
    settings: { temperature: 0, repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, noRepeatNgramSize: 0 },
  },
  { name: 'Inventive', system: '', settings: { temperature: 1, minP: 0.05 } },
  { name: 'Brief', system: 'Answer in one or two sentences.', settings: { temperature: 0.3 } },
];

export function SettingsDialog({ state, onClose }: { state: AppState; onClose: () => void }) {
  const { chats, engine } = state;
  const current = chats.chat.value ?? chats.draft.value;
  const recommended = engine.loaded.value?.recommended ?? {};
  const change = (system: string, settings: Settings) =>
    void chats.configure({ system, settings }).then(() => state.count());
  return (
    <Dialog title="Settings" onClose={onClose}>
      <Presets
        state={state}
        system={current.system}
        settings={current.settings}
        onChoose={({ system, settings }) => change(system, settings)}
      />
      <label class="field">
        System prompt
        <textarea
          rows={4}
          value={current.system}
          onChange={({ currentTarget }) => change(currentTarget.value, current.settings)}
        />
      </label>
      <div class="settings">
        {settingTable.map(({ key, help, expected, fits }) => (
          <NumberField
            key={key}
            name={key}
            help={help}
            expected={expected}
            fits={fits}
            value={current.settings[key]}
            placeholder={recommended[key]}
            onChange={(value) => {
              const { [key]: _, ...others } = current.settings;
              change(current.system, value === undefined ? others : { ...others, [key]: value });
            }}
          />
        ))}
      </div>
      <p class="note">
        An empty field is as the model's author recommends. Settings belong to this chat, and to those that you begin
        after it.
      </p>
    </Dialog>
  );
}

interface NumberFieldProps {
  readonly name: string;
  readonly help: string;
  readonly expected: string;
  readonly fits: (value: number) => boolean;
  readonly value: number | undefined;
  readonly placeholder: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}

function NumberField({ name, help, expected, fits, value, placeholder, onChange }: NumberFieldProps) {
  const wrong = useSignal('');
  const take = (text: string) => {
    const number = Number(text);
    const isEmpty = text.trim() === '';
    wrong.value = isEmpty || (Number.isFinite(number) && fits(number)) ? '' : `Expected ${expected}.`;
    if (wrong.value === '') onChange(isEmpty ? undefined : number);
  };
  return (
    <label class="field">
      {name}
      <input
        inputMode="decimal"
        value={value ?? ''}
        placeholder={placeholder === undefined ? '' : String(placeholder)}
        aria-describedby={`${name}-help`}
        aria-invalid={wrong.value !== ''}
        onChange={({ currentTarget }) => take(currentTarget.value)}
      />
      <small id={`${name}-help`}>{wrong.value ? <strong class="error">{wrong.value}</strong> : help}</small>
    </label>
  );
}

function Presets({
  state,
  system,
  settings,
  onChoose,
}: {
  state: AppState;
  system: string;
  settings: Settings;
  onChoose: (preset: Preset) => void;
}) {
  const name = useRef<HTMLInputElement>(null);
  const { chats } = state;
  return (
    <section>
      <h3>Presets</h3>
      <p class="row">
        {[...given, ...chats.presets.value].map((preset) => (
          <span key={preset.name}>
            <button type="button" onClick={() => onChoose(preset)}>
              {preset.name}
            </button>
            {!given.includes(preset) && (
              <button
                type="button"
                class="icon"
                aria-label={`Delete the preset ${preset.name}`}
                onClick={() => void chats.deletePreset(preset.name)}
              >
                ✕
              </button>
            )}
          </span>
        ))}
      </p>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const text = name.current?.value.trim() ?? '';
          if (text === '' || given.some((preset) => preset.name === text)) return;
          void chats.savePreset({ name: text, system, settings });
          if (name.current) name.current.value = '';
        }}
      >
        <input ref={name} aria-label="Name of the preset" placeholder="Name" />
        <button type="submit">Save as a preset</button>
      </form>
    </section>
  );
}
