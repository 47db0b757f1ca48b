// What we take from @huggingface/tokenizers 0.2.0, with types: its own declarations import files without extensions,
// which TypeScript's NodeNext resolution cannot follow. Nothing else of the package imports the library.
import * as library from '@huggingface/tokenizers';

interface LibraryNormalizer {
  normalize(text: string): string;
}
type NormalizerClass = new (config: object) => LibraryNormalizer;

interface Library {
  readonly BertNormalizer: NormalizerClass;
  readonly NFCNormalizer: NormalizerClass;
  readonly NFDNormalizer: NormalizerClass;
  readonly NFKCNormalizer: NormalizerClass;
  readonly NFKDNormalizer: NormalizerClass;
  readonly PrecompiledNormalizer: NormalizerClass;
  readonly SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp };
}

// One access for each, so that bundlers can leave the rest of the library out.
export const BertNormalizer = (library as unknown as Library).BertNormalizer;
export const NFCNormalizer = (library as unknown as Library).NFCNormalizer;
export const NFDNormalizer = (library as unknown as Library).NFDNormalizer;
export const NFKCNormalizer = (library as unknown as Library).NFKCNormalizer;
export const NFKDNormalizer = (library as unknown as Library).NFKDNormalizer;
export const PrecompiledNormalizer = (library as unknown as Library).PrecompiledNormalizer;
export const SplitPreTokenizer = (library as unknown as Library).SplitPreTokenizer;
