// How a user names a model of the hub: `facebook/opt-125m`, `hf:user/repository@revision`, `hf:user/repository:Q4_K_M`.
// Does not own: whether such a model exists.
import { RelufyError, show } from '@relufy/tensor';

export interface HubId {
  /** user/repository, or the bare name of an old model such as `gpt2`. */
  readonly repository: string;
  readonly revision?: string;
  /** Which GGUF of the repository: a quantisation, or a file name. */
  readonly gguf?: string;
}

const pattern = /^(?:hf:)?([A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w.-]*)?)(?:@([^\s:@]+))?(?::([\w./-]+))?$/;

/** undefined: not the name of a hub model (a path, for example). */
export function parseHubId(text: string): HubId | undefined {
  const match = typeof text === 'string' ? pattern.exec(text) : null;
  const [, repository, revision, gguf] = match ?? [];
  // `--` separates the parts of a name in the cache's folders; the hub allows it in no name.
  if (!repository || repository.length > 96 || /\.\.|--|\.git$/.test(repository)) return undefined;
  if (revision !== undefined && !isRevision(revision)) return undefined;
  return { repository, ...(revision === undefined ? {} : { revision }), ...(gguf === undefined ? {} : { gguf }) };
}

/** A branch, a tag, a commit, or `refs/pr/1`: never a way out of the cache's folder. */
export const isRevision = (text: string): boolean =>
  /^[\w][\w.+/-]*$/.test(text) && !text.split('/').some((part) => part === '' || part === '.' || part === '..');

export function requireHubId(text: string, revision: string | undefined): HubId & { readonly revision: string } {
  const id = parseHubId(text);
  if (!id)
    throw new RelufyError(
      'option',
      `hub model: expected a name such as "facebook/opt-125m", got ${show(text)}. Check the spelling.`,
    );
  const wanted = revision ?? id.revision ?? 'main';
  if (!isRevision(wanted))
    throw new RelufyError(
      'option',
      `hub model ${show(id.repository)}: revision, expected a branch, tag or commit, got ${show(wanted)}. Check the spelling.`,
    );
  return { ...id, revision: wanted };
}

/** Where the hub keeps a repository: models have the short addresses. */
export type RepositoryKind = 'model' | 'dataset';

export const repositoryPath = (kind: RepositoryKind, repository: string): string =>
  kind === 'dataset' ? `datasets/${repository}` : repository;
