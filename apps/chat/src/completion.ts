// What Tab offers: commands, names of settings, paths for /save and /load, models for /model.
// Does not own the commands (commands.ts). Node only: it looks into folders.
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { commands } from './commands.js';
import { expandHome } from './saved-chat.js';
import { settingTable } from './settings.js';

/** Offers, and the part of the line that they complete, as readline wants it. */
export function complete(line: string, modelNames: readonly string[]): [string[], string] {
  const [, name, argument = ''] = /^\/(\S+)\s+(.*)$/s.exec(line) ?? [];
  if (name === undefined) {
    if (!/^\/\S*$/.test(line)) return [[], line];
    return [
      beginningWith(
        line,
        commands.map((command) => `/${command.name} `),
      ),
      line,
    ];
  }
  switch (name) {
    case 'set':
      return [
        beginningWith(
          argument,
          settingTable.map(({ key }) => `${key} `),
        ),
        argument,
      ];
    case 'save':
    case 'load':
      return [paths(argument), argument];
    case 'model':
      return [[...beginningWith(argument, modelNames), ...(/^[./~]/.test(argument) ? paths(argument) : [])], argument];
    default:
      return [[], line];
  }
}

function beginningWith(typed: string, offers: readonly string[]): string[] {
  return offers.filter((offer) => offer.toLowerCase().startsWith(typed.toLowerCase()));
}

/** Hidden files are offered to who types their dot. */
function paths(typed: string): string[] {
  const folder = /^.*\//s.exec(typed)?.[0] ?? '';
  const begun = typed.slice(folder.length);
  try {
    return readdirSync(folder === '' ? '.' : dirname(`${expandHome(folder)}x`), { withFileTypes: true })
      .filter(({ name }) => name.startsWith(begun) && (begun !== '' || !name.startsWith('.')))
      .filter(({ name }) => !/\p{Cc}/u.test(name))
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .sort();
  } catch {
    return [];
  }
}
