// Post-processors, as far as a single text needs them: the special ids put before and after it.
// Pairs of texts, offsets and type ids are of no use to a causal language model and are left out.
import { show } from '@relufy/tensor';
import { type Fields, malformed } from './json.js';

export interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** On each side of a text; templates of models have one or two. */
const MOST_IDS = 1024;

const types = ['ByteLevel', 'TemplateProcessing', 'RobertaProcessing', 'BertProcessing', 'Sequence'] as const;

export function readPostProcessor(fields: Fields): Frame {
  switch (fields.choice('type', types)) {
    case 'ByteLevel': // changes offsets only
      return { before: [], after: [] };
    case 'Sequence':
      return fields
        .list('processors')
        .map(readPostProcessor)
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          { before: [], after: [] },
        );
    case 'TemplateProcessing':
      return readTemplate(fields);
    default:
      return { before: [pairId(fields, 'cls')], after: [pairId(fields, 'sep')] };
  }
}

/** `cls` and `sep`: `["<s>", 0]`. */
function pairId(fields: Fields, key: string): number {
  const id = fields.array(key)[1];
  if (!Number.isSafeInteger(id) || (id as number) < 0) throw fields.fail(key, 'a token and its id');
  return id as number;
}

function readTemplate(fields: Fields): Frame {
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  for (const item of fields.list('single')) {
    const special = item.optional('SpecialToken');
    if (special !== undefined) {
      for (const id of specialIds(fields, special.string('id'))) side.push(id);
      if (side.length > MOST_IDS) throw fields.fail('single', `at most ${MOST_IDS} ids on each side of the text`);
    } else if (item.fields('Sequence').choice('id', ['A']) === 'A') {
      if (side === after) throw fields.fail('single', 'a template that holds the text once');
      side = after;
    }
  }
  if (side === before) throw fields.fail('single', 'a template that holds the text once');
  return { before, after };
}

function specialIds(fields: Fields, name: string): readonly number[] {
  const specials = fields.fields('special_tokens');
  const ids = specials.fields(name).array('ids');
  if (ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) return ids;
  throw malformed(fields.source, `"${specials.path}${name}.ids": expected ids from 0 on, got ${show(ids)}`);
}
