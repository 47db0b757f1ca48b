// The model that the chat opens with: a package of its own, which an installation may leave out, for it is large. Found
// at run time, so that no bundle of a program that uses the library carries it along.
// Does not own models whose files every bundle has (../source.ts).
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { ModelUrls } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';

export const packagedModel = 'smollm2-135m-instruct';

/**
 * The URLs of its files.
 * @throws RelufyError `io` where its package is not installed.
 */
export function packagedUrls(): ModelUrls['urls'] {
  const folder = new URL('model/', pathToFileURL(entry()));
  return Object.fromEntries(readdirSync(folder).map((file) => [file, new URL(file, folder)]));
}

function entry(): string {
  const require = createRequire(import.meta.url);
  try {
    return require.resolve('@relufy/smollm2-135m-instruct');
  } catch (error) {
    throw new RelufyError(
      'io',
      `${packagedModel}: expected the package @relufy/${packagedModel}, which is optional, got none. Install it, or name another model: llama-tales comes with relufy.`,
      { cause: error },
    );
  }
}
