// A conversation as a file: JSON that other programs read, or Markdown that people read, by the name's ending; and back.
// Does not own the conversation (conversation.ts) nor the commands that ask for this (commands.ts). Node only.
import { randomBytes } from 'node:crypto';
import { lstat, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readNamedFileIfThere } from '@relufy/checkpoint/node';
import { type ChatMessage, RelufyError } from '@relufy/models';

export interface SavedChat {
  /** undefined: the file does not say. */
  readonly model?: string;
  readonly messages: readonly ChatMessage[];
}

/** More than a conversation has. */
const largest = 1 << 24;
const roles = ['system', 'user', 'assistant'] as const;
type Role = (typeof roles)[number];

const isMarkdown = (file: string): boolean => /\.(md|markdown)$/i.test(file);

/** `~/x` as shells mean it. */
export function expandHome(file: string): string {
  return file === '~' || file.startsWith('~/') ? join(homedir(), file.slice(1)) : file;
}

/**
 * Writes it whole or not at all, for whom `mode` (and the process's mask) says. A file that is not a saved chat is left
 * alone.
 * @throws RelufyError `io` or `option`.
 */
export async function saveChat(file: string, chat: SavedChat, mode = 0o666): Promise<void> {
  const path = expandHome(file);
  const isThere = await lstat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT',
  );
  if (isThere) {
    const saved = await readChat(file).catch(() => undefined);
    if (saved === undefined)
      throw new RelufyError(
        'option',
        `/save ${file}: expected a new name or a saved chat, got another file of that name. Choose another name.`,
      );
  }
  const fresh = `${path}.${randomBytes(4).toString('hex')}.part`;
  try {
    await writeFile(fresh, isMarkdown(file) ? toMarkdown(chat) : toJson(chat), { flag: 'wx', mode });
    await rename(fresh, path);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw new RelufyError('io', `/save ${file}: cannot be written: ${reasonOf(cause)}.`, { cause });
  }
}

/** @throws RelufyError `io` or `option` for a file that is not there or is none. */
export async function readChat(file: string): Promise<SavedChat> {
  const path = expandHome(file);
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('io', `/load ${file}: expected a saved chat, got ${got}.`, { cause });
  const bytes = await readNamedFileIfThere(path, { limitBytes: largest, onlyFiles: true, refuse });
  if (bytes === undefined) throw new RelufyError('io', `/load ${file}: no such file.`);
  const text = new TextDecoder().decode(bytes);
  const chat = isMarkdown(file) ? fromMarkdown(file, text) : fromJson(file, text);
  if (chat.messages.length === 0) throw refused(file, 'no message');
  return chat;
}

export function toJson({ model, messages }: SavedChat): string {
  return `${JSON.stringify({ ...(model !== undefined && { model }), messages }, null, 2)}\n`;
}

/** Accepts a plain list of messages, too. */
export function fromJson(file: string, text: string): SavedChat {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refused(file, 'no JSON');
  }
  const { messages, model } = Array.isArray(value)
    ? { messages: value as unknown, model: undefined }
    : ((value ?? {}) as { readonly messages?: unknown; readonly model?: unknown });
  if (!Array.isArray(messages)) throw refused(file, 'no "messages"');
  return {
    ...(typeof model === 'string' && { model }),
    messages: messages.map((message: unknown, i) => {
      const { role, content } = (message ?? {}) as { readonly role?: unknown; readonly content?: unknown };
      if (!isRole(role)) throw refused(file, `the role ${JSON.stringify(role)} in message ${i + 1}`);
      if (typeof content !== 'string') throw refused(file, `no text as content of message ${i + 1}`);
      if (role === 'system' && i > 0) throw refused(file, `a system message at place ${i + 1}`);
      return { role, content };
    }),
  };
}

/** `## user`, the message, `## assistant`, and so on; a line of a message that looks like that gets a backslash. */
export function toMarkdown({ model, messages }: SavedChat): string {
  const parts = messages.map(({ role, content }) => `## ${role}\n\n${String(content).replaceAll(markLine, '\\$&')}\n`);
  return [`# Chat${model === undefined ? '' : ` with ${model.replaceAll(/\s+/g, ' ')}`}\n`, ...parts].join('\n');
}

export function fromMarkdown(file: string, text: string): SavedChat {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const model = /^# Chat with (.*)$/.exec(lines[0] ?? '')?.[1];
  const messages: { role: Role; lines: string[] }[] = [];
  for (const line of lines) {
    const role = /^## (system|user|assistant)$/.exec(line)?.[1] as Role | undefined;
    if (role !== undefined) messages.push({ role, lines: [] });
    else messages.at(-1)?.lines.push(/^\\+## (system|user|assistant)$/.test(line) ? line.slice(1) : line);
  }
  if (messages.slice(1).some(({ role }) => role === 'system')) throw refused(file, 'a system message in the middle');
  return {
    ...(model !== undefined && { model }),
    // an empty line on each side belongs to the page, everything else to the message
    messages: messages.map(({ role, lines: own }) => ({
      role,
      content: own.slice(own[0] === '' ? 1 : 0, own.at(-1) === '' ? -1 : undefined).join('\n'),
    })),
  };
}

const markLine = /^\\*## (?:system|user|assistant)$/gm;

const isRole = (role: unknown): role is Role => roles.some((known) => known === role);

function refused(file: string, got: string): RelufyError {
  return new RelufyError(
    'option',
    `/load ${file}: expected a chat (JSON with "messages" of {role, content}, or the Markdown of /save), got ${got}.`,
  );
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
