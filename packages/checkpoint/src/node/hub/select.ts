// Which files of a hub repository a model needs: its descriptions, its tokenizer, one set of weights, and a sparsity plan
// where there is one; or the plan alone.
// Owns: the same order of preference as openCheckpoint. Does not own: downloading them.
import { RelufyError, show, showNames } from '@relufy/tensor';
import { descriptionFiles, indexOf, planFiles, weightFiles, weightNames } from '../../weight-files.js';

export interface RepositoryFile {
  readonly path: string;
  readonly size: number;
  /** Git's hash of the content, or for large files its SHA-256. */
  readonly hash: { readonly kind: 'git' | 'sha256'; readonly hex: string };
}

export interface Selection {
  readonly files: readonly RepositoryFile[];
  /** An index whose shards are needed too. */
  readonly index?: RepositoryFile;
  /** The model is this GGUF file, and it describes itself. */
  readonly gguf?: string;
}

/** `gguf`: what the user wrote after the colon of an id. */
export function selectFiles(repository: string, files: readonly RepositoryFile[], gguf: string | undefined): Selection {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const found = (names: readonly string[]): RepositoryFile[] => names.flatMap((name) => byPath.get(name) ?? []);
  const plan = found(planFiles);
  const described = [...found(descriptionFiles), ...plan];
  if (gguf === undefined)
    for (const name of weightFiles) {
      const single = byPath.get(name);
      if (single) return { files: [...described, single] };
      const index = byPath.get(indexOf(name));
      if (index) return { files: described, index };
    }
  const parts = selectGguf(repository, files, gguf);
  if (parts) return { files: parts, gguf: (parts[0] as RepositoryFile).path };
  if (plan.length > 0) return { files: plan };
  throw new RelufyError(
    'checkpoint',
    `hub model ${show(repository)}: weights, expected one of ${weightNames.join(', ')}, *.gguf, got none of them. It may hold weights of another library only.`,
  );
}

function selectGguf(
  repository: string,
  files: readonly RepositoryFile[],
  wanted: string | undefined,
): RepositoryFile[] | undefined {
  const all = files
    .filter(({ path }) => path.endsWith('.gguf') && !/(^|\/)mmproj/.test(path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const first = all.filter(({ path }) => !isLaterPart(path));
  const matching =
    wanted === undefined
      ? first
      : first.filter(({ path }) => path === wanted || quantisationOf(path) === wanted.toUpperCase());
  const [file, second] = matching;
  if (file && !second) return all.filter(({ path }) => path === file.path || stemOf(path) === stemOf(file.path));
  if (first.length === 0) return undefined;
  const kinds = first.map(({ path }) => quantisationOf(path) ?? path);
  throw new RelufyError(
    'option',
    `hub model ${show(repository)}: expected ${wanted === undefined ? 'one GGUF file' : `a GGUF file ${show(wanted)}`}, got ${showNames(kinds, 30)}. Name one of them, as in "hf:${repository}:${quantisationOf((second ?? (first[0] as RepositoryFile)).path) ?? 'FILE'}".`,
  );
}

const split = /-(\d{5})-of-(\d{5})\.gguf$/;
const isLaterPart = (path: string): boolean => Number(split.exec(path)?.[1] ?? 1) !== 1;
/** The same for all parts of a split file, and for nothing else. */
const stemOf = (path: string): string => (split.test(path) ? path.replace(split, '-of-$2') : path);

/** `Q4_K_M` of `model.Q4_K_M.gguf`. */
function quantisationOf(path: string): string | undefined {
  const match = /(?:^|[-._/])((?:I?Q\d\w*|BF16|F16|F32|FP16|MXFP4\w*|TQ\d_\d))(?:-\d{5}-of-\d{5})?\.gguf$/i.exec(path);
  return match?.[1]?.toUpperCase();
}
