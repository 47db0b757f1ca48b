// The chat as a person sees it, at a pseudo-terminal.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasScript, openTerminal } from './testing/run-cli.js';

const name = 'relufy chat at a terminal';
const suite = hasScript ? describe : describe.skip;

suite(hasScript ? name : `${name} (skipped: no "script" of util-linux)`, () => {
  const question = 'Tell me a story about a fox.';

  test('Ctrl-C stops an answer, and twice at the prompt leaves with exit code 130', async () => {
    const terminal = openTerminal(['chat', 'llama-tales', '--seed', '3']);
    await terminal.sees('llama-tales · ');
    await terminal.sees('> ');
    terminal.type(`${question}\r`);
    await terminal.sees('Once');
    terminal.type('\u0003');
    await terminal.sees('stopped');
    await terminal.sees('> ');
    terminal.type('\u0003');
    await terminal.sees('Ctrl-C again leaves; /save keeps the conversation.');
    terminal.type('\u0003');
    expect(await terminal.exit).toBe(130);
  });

  test('colours and status lines; /exit leaves with exit code 0', async () => {
    const terminal = openTerminal(['chat', 'llama-tales', '--seed', '1', '--max-new-tokens', '8']);
    await terminal.sees('> ');
    terminal.type(`${question}\r`);
    await terminal.sees('\u{1b}[2m8 tokens, ');
    await terminal.sees('cut at maxNewTokens');
    await terminal.sees('> ');
    terminal.type('/hepl\r');
    await terminal.sees('\u{1b}[31m/hepl: no such command. Did you mean /help?');
    await terminal.sees('> ');
    terminal.type('/exit\r');
    expect(await terminal.exit).toBe(0);
  });

  test('NO_COLOR takes the colours away; Ctrl-D leaves with exit code 0', async () => {
    const terminal = openTerminal(['chat', 'llama-tales'], { NO_COLOR: '1' });
    await terminal.sees('/help lists commands');
    await terminal.sees('> ');
    expect(terminal.screen()).not.toContain('\u{1b}[2m');
    terminal.type('\u0004');
    expect(await terminal.exit).toBe(0);
  });

  test('a pasted text is one message, Ctrl-C clears a line, and what was typed is there in the next chat', async () => {
    const state = await mkdtemp(join(tmpdir(), 'relufy-state-'));
    const env = { RELUFY_HISTORY: '1', XDG_STATE_HOME: state };
    const args = ['chat', 'llama-tales', '--seed', '1', '--max-new-tokens', '4'];
    const first = openTerminal(args, env);
    await first.sees('relufy models');
    await first.sees('\u{1b}[?2004h');
    await first.sees('> ');
    first.type('half a line');
    await first.sees('half a line');
    first.type('\u0003');
    first.type('\u{1b}[200~Tell me a story\rabout a fox.\r\u{1b}[201~');
    await first.sees('Tell me a story⏎about a fox.');
    first.type('\r');
    await first.sees('4 tokens, ');
    first.type('quit\r');
    await first.sees('\u{1b}[?2004l');
    expect(await first.exit).toBe(0);
    expect(first.screen().match(/tokens\/s/g)).toHaveLength(1);

    const second = openTerminal(args, env);
    await second.sees('> ');
    second.type('\u{1b}[A\u{1b}[A');
    await second.sees('Tell me a story⏎about a fox.');
    second.type('\u0003\u0004');
    expect(await second.exit).toBe(0);

    const third = openTerminal([...args, '--no-history'], env);
    await third.sees('> ');
    third.type('\u{1b}[A\r/exit\r');
    expect(await third.exit).toBe(0);
    expect(third.screen()).not.toContain('about a fox');
    await rm(state, { recursive: true });
  });

  test('a dumb terminal gets no marks of pasting and no Markdown', async () => {
    const terminal = openTerminal(['chat', 'llama-tales'], { TERM: 'dumb' });
    await terminal.sees('> ');
    terminal.type('exit\r');
    expect(await terminal.exit).toBe(0);
    expect(terminal.screen()).not.toContain('\u{1b}');
  });
});
