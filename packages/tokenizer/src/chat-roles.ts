// Who speaks in a chat, and that what is said is there: a template passes over a role that it does not know, and over a
// misspelt key, without a word. Does not own what a template makes of a message (chat.ts).
import { nearest, RelufyError, show } from '@relufy/tensor';
import type { JsonObject } from './json.js';

const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'] as const;

/** The roles of the common chats; `ipython` is a tool's in Llama 3.1, `observation` one in GLM. */
export type ChatRole = (typeof roles)[number] | 'ipython' | 'observation';

/**
 * @throws RelufyError `input` for a role that is neither common nor named by the template, and for a message without a
 * content or another key that the template reads.
 */
export function checkRoles(where: string, messages: readonly JsonObject[], template: string): void {
  for (const [i, message] of messages.entries()) {
    const role = message.role as string;
    const isNamed = template.includes(`'${role}'`) || template.includes(`"${role}"`);
    if (!isNamed && !roles.some((known) => known === role)) {
      const meant = nearest(role, roles);
      throw new RelufyError(
        'input',
        `${where}: messages[${i}].role: expected ${roles.join(', ')} or a role that the template names, got ${show(role)}. ${meant === undefined ? 'Name who speaks.' : `Did you mean ${meant}?`}`,
      );
    }
    if (message.content !== undefined) continue;
    const others = Object.keys(message).filter((key) => key !== 'role' && message[key] !== undefined);
    if (others.some((key) => /^\w+$/.test(key) && new RegExp(`\\b${key}\\b`).test(template))) continue;
    throw new RelufyError(
      'input',
      `${where}: messages[${i}]: expected a content, got ${others.length === 0 ? 'none' : `only ${others.map((key) => show(key)).join(', ')}`}. Pass { role, content }.`,
    );
  }
}
