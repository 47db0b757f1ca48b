// Tokens that end an answer by their names, whatever a model's files say: many chat models name the end of a text as
// their eos while their template ends turns with another token, or the reverse. The names, and the exceptions, are those
// of llama.cpp (src/llama-vocab.cpp, "end-of-generation"), but for plain ends of a text such as "</s>", of which a
// model's files say themselves whether they end an answer.
// Does not own what the files say (load-model.ts) nor stop strings (@relufy/tokenizer).
import type { Tokenizer } from '@relufy/tokenizer';

const names: readonly string[] = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|end_of_text|>',
  '<|endoftext|>',
  '<end_of_turn>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '<end_of_utterance>',
  '<turn|>',
];

/** In these vocabularies a name means something else: a part of an answer ends with it, not the answer. */
const exceptions: readonly { readonly name: string; readonly where: readonly string[] }[] = [
  { name: '<|end|>', where: ['<|return|>', '<|call|>'] }, // gpt-oss: the end of its reasoning
  { name: '<|end|>', where: ['<|flush|>', '<|call|>'] },
  { name: '<|end|>', where: ['<|flush|>', '<|calls|>'] },
];

/** Only special tokens: a token of that text that anybody may write, as in a page of HTML, ends nothing. */
export function turnEnds(tokenizer: Pick<Tokenizer, 'tokenToId' | 'specialIds'>): readonly number[] {
  const idOf = (name: string): number | undefined => {
    const id = tokenizer.tokenToId(name);
    return id !== undefined && tokenizer.specialIds.has(id) ? id : undefined;
  };
  const found = names.filter((name) => idOf(name) !== undefined);
  const meansElse = (name: string): boolean =>
    exceptions.some((exception) => exception.name === name && exception.where.every((other) => found.includes(other)));
  return found.filter((name) => !meansElse(name)).map((name) => idOf(name) as number);
}
