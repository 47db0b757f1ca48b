// Charts as PNG, in their light colours: for papers and slides. WebAssembly and a font of its own, so that a picture is
// the same bytes on every machine. Node only. Does not own the charts (marks.ts).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';

const family = 'Open Sans';
/** Pixels a unit of the SVG: sharp in print at the width of a column. */
const zoom = 3;

let renderer: Promise<readonly Uint8Array[]> | undefined;

/** Once a process: the module, and the fonts of text and titles. */
function prepare(): Promise<readonly Uint8Array[]> {
  renderer ??= (async () => {
    const { resolve } = createRequire(import.meta.url);
    await initWasm(readFileSync(resolve('@resvg/resvg-wasm/index_bg.wasm')));
    return [
      readFileSync(resolve('@expo-google-fonts/open-sans/400Regular/OpenSans_400Regular.ttf')),
      readFileSync(resolve('@expo-google-fonts/open-sans/600SemiBold/OpenSans_600SemiBold.ttf')),
    ];
  })();
  return renderer;
}

/** The picture of a chart of this package. */
export async function chartPng(svg: string): Promise<Uint8Array> {
  const fontBuffers = await prepare();
  const drawing = new Resvg(svg, {
    font: { fontBuffers, defaultFontFamily: family, sansSerifFamily: family },
    fitTo: { mode: 'zoom', value: zoom },
  });
  const picture = drawing.render();
  const png = picture.asPng().slice();
  picture.free();
  drawing.free();
  return png;
}

/** The files of a report, each `.svg` with a `.png` beside it. */
export async function withPngs(files: ReadonlyMap<string, string>): Promise<Map<string, string | Uint8Array>> {
  const all = new Map<string, string | Uint8Array>();
  for (const [name, content] of files) {
    all.set(name, content);
    if (name.endsWith('.svg')) all.set(name.replace(/svg$/, 'png'), await chartPng(content));
  }
  return all;
}
