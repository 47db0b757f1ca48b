// Which chat templates a model has, and which one a call uses.
// Precedence: the call's argument, chat_template.jinja, tokenizer_config.json, and then an error: a base model's format
// is not guessed. Rendering is chat.ts.
import { RelufyError, show, showNames } from '@relufy/tensor';
import { type Fields, isObject } from './json.js';

/** Template texts by name; a model with one template calls it `default`. */
export type ChatTemplates = ReadonlyMap<string, string>;

export function readChatTemplates(name: string, jinja: string | undefined, config: Fields | undefined): ChatTemplates {
  if (jinja !== undefined) {
    if (typeof jinja === 'string') return new Map([['default', jinja]]);
    throw new RelufyError(
      'tokenizer',
      `tokenizer ${show(name)}: chat_template.jinja must be given as text, got ${show(jinja)}. Pass its content.`,
    );
  }
  const value = config?.get('chat_template');
  if (config === undefined || value === undefined) return new Map();
  if (typeof value === 'string') return new Map([['default', value]]);
  const templates = new Map<string, string>();
  const entries: unknown[] = Array.isArray(value) ? value : [undefined];
  for (const entry of entries) {
    if (!isObject(entry) || typeof entry.name !== 'string' || typeof entry.template !== 'string') {
      throw config.fail('chat_template', 'a string or a list of { name, template }');
    }
    templates.set(entry.name, entry.template);
  }
  return templates;
}

/** `wanted`: a template's text, or the name of one that the model has. */
export function chooseTemplate(
  name: string,
  templates: ChatTemplates,
  wanted: string | undefined,
  withTools: boolean,
): string {
  if (wanted !== undefined) {
    if (typeof wanted !== 'string') {
      throw new RelufyError('option', `template: expected a string, got ${show(wanted)}. Pass a Jinja template.`);
    }
    return templates.get(wanted) ?? wanted;
  }
  const chosen = (withTools ? templates.get('tool_use') : undefined) ?? templates.get('default');
  if (chosen !== undefined) return chosen;
  if (templates.size > 0) {
    throw new RelufyError(
      'tokenizer',
      `tokenizer ${show(name)}: no chat template is called "default", there are ${showNames(templates.keys())}. Pass one as "template".`,
    );
  }
  throw new RelufyError(
    'tokenizer',
    `tokenizer ${show(name)}: the model has no chat template, so it is a base model that continues text. ` +
      'Use encode() with a plain prompt, or pass a template as "template".',
  );
}
