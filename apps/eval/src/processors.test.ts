import { expect, test } from 'vitest';
import { processor } from './processors.js';

const value = (name: string) => processor('task', name, 'value');

test('hellaswag texts lose their marks', () => {
  const [doc] = processor(
    'task',
    'hellaswag.process_docs',
    'docs',
  )([
    {
      activity_label: 'How to sew',
      ctx_a: '[header] How to sew [title] Get thread.',
      ctx_b: '[step] BUY it.  ',
      endings: [' a [x]b', 'c'],
      label: '1',
    },
  ]);
  expect(doc).toMatchObject({
    query: 'How to sew: How to sew. Get thread. buy it.',
    choices: ['a b', 'c'],
    label: 1,
  });
});

test('arc and openbookqa: original documents as they are, of OLMo the whole question', () => {
  const docs = processor('task', 'arc.process_docs', 'docs');
  const original = { question: 'Why?', choices: { text: ['a', 'b', 'c'], label: ['1', '2', '3'] }, answerKey: '2' };
  expect(docs([original])).toEqual([original]);
  const olmo = { query: 'Question: Why?\nAnswer:', choices: ['a', 'b', 'c'], gold: 1 };
  expect(docs([olmo])[0]).toMatchObject({
    question: 'Why?',
    choices: { text: ['a', 'b', 'c'], label: ['A', 'B', 'C'] },
    answerKey: 'B',
  });
  expect(processor('task', 'openbookqa.process_docs', 'docs')([olmo])[0]).toMatchObject({ question_stem: 'Why?' });
});

test('winogrande: contexts end in an option, the continuation is the rest', () => {
  const doc = { sentence: 'Ann beat Bo so _ cried. ', option1: 'Ann', option2: 'Bo', answer: '2' };
  expect(value('winogrande.doc_to_choice')(doc)).toEqual(['Ann beat Bo so Ann', 'Ann beat Bo so Bo']);
  expect(value('winogrande.doc_to_target')(doc)).toBe('cried.');
  expect(value('preprocess_winogrande.doc_to_text')(doc)).toBe(1);
});

test('copa: the period becomes a connector', () => {
  expect(value('copa.doc_to_text')({ premise: 'It rained. ', question: 'cause' })).toBe('It rained because');
});

test('wikitext pages are detokenised, and counted before that', () => {
  const page =
    ' \n = = Title = = \n \n It cost 3 @,@ 500 ( about 2 @.@ 5 ) ; a " well @-@ known " dogs \' home , Tom \'s . \n';
  expect(value('wikitext.detokenizer')({ page })).toBe(
    '\n== Title ==\n\nIt cost 3,500 (about 2.5); a "well-known" dogs\'home, Tom\'s.\n',
  );
  expect(processor('task', 'wikitext.process_results', 'results')({ page }, [-5])).toEqual({
    word_perplexity: [-5, 32],
    byte_perplexity: [-5, 104],
    bits_per_byte: [-5, 104],
  });
});

test('raw WikiText is cut at the titles of pages', () => {
  const text = ' \n = One = \n a \n = = Part = = \n b \n = Two = \n c \n';
  expect(processor('task', 'wikitext.process_docs', 'docs')([{ text }])).toEqual([
    { page: ' = One = \n a \n = = Part = = \n b \n' },
    { page: ' = Two = \n c \n' },
  ]);
});

test('an unknown processor is named with those that there are', () => {
  expect(() => processor('task "doc_to_text"', 'utils.foo', 'value')).toThrow(
    /task "doc_to_text": expected one of winogrande.doc_to_text.* got "utils.foo"/,
  );
});

test('marks that never end, and blanks within marks, take as long as other texts', () => {
  const hellaswag = processor('task', 'hellaswag.process_docs', 'docs');
  const wikitext = processor('task', 'wikitext.detokenizer', 'value');
  const texts = ['['.repeat(200_000), '(\n'.repeat(100_000), `[${' '.repeat(200_000)}`, `(${' '.repeat(200_000)}x)`];
  const began = process.cpuUsage();
  for (const text of texts) {
    const doc = { activity_label: 'a', ctx_a: text, ctx_b: 'b', endings: ['c'], label: '0', page: text };
    expect(hellaswag([doc])).toHaveLength(1);
    expect(wikitext(doc)).toMatch(/^[[(]/);
  }
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(4);
});
