// The one way in which this package refuses bytes: `where: what, expected, got. Remedy.` with code 'checkpoint'.
// Owns: the wording, and the guess at what a wrong file really is (a Git LFS pointer, a web page, another format).
import { RelufyError } from '@relufy/tensor';

const remedyOfDamage = 'The file is damaged or not what its name says; download it again.';

/** An error for a file that cannot be what it claims to be. `what` holds "expected ..., got ..." without a full stop. */
export function malformed(where: string, what: string, remedy = remedyOfDamage): RelufyError {
  return new RelufyError('checkpoint', `${where}: ${what}. ${remedy}`);
}

/** What users often hold instead of weights, told by the first bytes; undefined when they tell nothing. */
export function mistakenFor(head: Uint8Array): { what: string; remedy: string } | undefined {
  const text = String.fromCharCode(...head.subarray(0, 64));
  if (text.startsWith('version https://git-lfs'))
    return { what: 'a Git LFS pointer', remedy: 'Run "git lfs pull" in the folder, or download the file itself.' };
  if (/^\s*<(!doctype|html|\?xml)/i.test(text))
    return { what: 'a web page', remedy: 'The download was answered by a page; download the file itself.' };
  if (text.startsWith('GGUF')) return { what: 'a GGUF file', remedy: 'Rename it so that it ends in .gguf.' };
  if (text.startsWith('PK\u0003\u0004'))
    return { what: 'a zip archive (a PyTorch checkpoint?)', remedy: 'Rename it to pytorch_model.bin.' };
  return undefined;
}
