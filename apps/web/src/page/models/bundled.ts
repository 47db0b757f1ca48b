// Models that lie beside the page, as `models.json` lists them (src/site/site-files.ts writes it).
import type { WantedFile } from './model-store.js';

export interface SiteModels {
  readonly models: readonly {
    readonly name: string;
    readonly files: readonly { readonly name: string; readonly size: number; readonly sha256: string }[];
  }[];
  /** Where an OpenAI-compatible server answers, relative to the page. */
  readonly server?: string;
}

/** `base`: the page's address. */
export async function siteModels(base: string): Promise<SiteModels> {
  const response = await fetch(new URL('models.json', base));
  if (!response.ok) throw new Error(`models.json: the server answers ${response.status}.`);
  return (await response.json()) as SiteModels;
}

export async function bundledFiles(name: string, base: string): Promise<readonly WantedFile[]> {
  const model = (await siteModels(base)).models.find((one) => one.name === name);
  if (model === undefined) throw new Error(`${name}: this site does not have the model.`);
  return model.files.map((file) => ({
    ...file,
    url: new URL(`models/${name}/${encodeURIComponent(file.name)}`, base).href,
  }));
}
