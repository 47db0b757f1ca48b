// The chat as a person sees it, at a pseudo-terminal.
import { describe, expect, test } from 'vitest';
import { hasScript, openTerminal } from './testing/run-cli.js';

const name = 'relufy chat at a terminal';
const suite = hasScript ? describe : describe.skip;

suite(hasScript ? name : `${name} (skipped: no "script" of util-linux)`, () => {
  const question = 'Tell me a story about a fox.';

  test('Ctrl-C stops an answer, and twice at the prompt leaves with exit code 130', async () => {
    const terminal = openTerminal(['chat', '--seed', '3']);
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
    const terminal = openTerminal(['chat', '--seed', '1', '--max-new-tokens', '8']);
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
    const terminal = openTerminal(['chat'], { NO_COLOR: '1' });
    await terminal.sees('/help lists commands');
    await terminal.sees('> ');
    expect(terminal.screen()).not.toContain('\u{1b}[2m');
    terminal.type('\u0004');
    expect(await terminal.exit).toBe(0);
  });
});
