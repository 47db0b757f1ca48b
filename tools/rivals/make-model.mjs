// Writes one synthetic model several ways: as a Hugging Face folder with ReLU (what our sparse runs read), the same
// weights with the activation that llama.cpp has (our dense runs), GGUF f16, q8_0 and q4_0 of the latter for llama.cpp,
// and, where the `relufy` command can, our own int8 and int4 files. What is there already is kept.
// llama.cpp's llama graph hard-codes SiLU: the bytes and the work are those of the ReLU model, the text is not.
//
//   node make-model.mjs [--shape tinyllama | afm | --scale tiny] [--density 0.1] [--out models] [--formats f16,q8_0,q4_0,int8,int4]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { cli, importCheckpoint } from './relufy-packages.mjs';
import { configOf, shapes, tokenizerOf } from './shapes.mjs';
import { bytesOf, tensorsOf } from './synthetic-weights.mjs';

/**
 * @typedef {object} Files
 * @property {string} sparse a Hugging Face folder, bf16
 * @property {string} dense the same weights under the activation that llama.cpp has; where that is the same, the same
 * @property {(type: string) => string} gguf of `dense`
 * @property {(folder: string, dtype: string) => string | undefined} converted a folder, if it is there
 */

const log = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);

/** @param {{ out: string, shape: string, density: number, formats: readonly string[] }} options @returns {Promise<Files>} */
export async function makeModel({ out, shape: name, density, formats }) {
  const shape = shapes[name];
  if (!shape) throw new Error(`--shape: expected one of ${Object.keys(shapes).join(', ')}, got "${name}".`);
  if (!(density > 0 && density < 1)) throw new Error(`--density: expected a number between 0 and 1, got ${density}.`);
  const folder = join(out, `${name}-${Math.round(density * 1000) / 10}pc`);
  const [sparse, dense] = [join(folder, shape.activations.sparse), join(folder, shape.activations.dense)];
  await writeFolder(sparse, shape, density);
  if (dense !== sparse) await writeSiblingFolder(dense, sparse, shape);
  for (const type of formats.filter((format) => /^(f16|q\d_\d)$/.test(format)))
    await exportGguf(dense, join(folder, `${type}.gguf`), type);
  const dtypes = formats.filter((format) => format.startsWith('int'));
  if (dtypes.length > 0 && canConvert())
    for (const dtype of dtypes)
      for (const source of new Set([sparse, dense])) await convert(source, `${source}-${dtype}`, dtype);
  return {
    sparse,
    dense,
    gguf: (type) => join(folder, `${type}.gguf`),
    converted: (source, dtype) => ifThere(`${source}-${dtype}`),
  };
}

const ifThere = (/** @type {string} */ path) => (existsSync(join(path, 'config.json')) ? path : undefined);

async function writeFolder(folder, shape, density) {
  const stamp = JSON.stringify({ shape, density, version: 3 });
  const stampFile = join(folder, 'synthetic.json');
  if (existsSync(stampFile) && (await readFile(stampFile, 'utf8')) === stamp) return;
  await rm(dirname(folder), { recursive: true, force: true }); // files of other weights
  log(`writing ${folder}`);
  const { writeSafetensors } = await importCheckpoint();
  await mkdir(folder, { recursive: true });
  await writeTexts(folder, shape, shape.activations.sparse);
  const tensors = tensorsOf(shape, density).map((tensor) => ({
    name: tensor.name,
    dtype: 'BF16',
    shape: tensor.shape,
    data: () => bytesOf(tensor),
  }));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { metadata: { format: 'pt' } });
  await writeFile(stampFile, stamp);
}

/** The same weights (the same bytes on disk, where the file system links) under the other activation. */
async function writeSiblingFolder(folder, source, shape) {
  await mkdir(folder, { recursive: true });
  await writeTexts(folder, shape, shape.activations.dense);
  const [from, to] = [join(source, 'model.safetensors'), join(folder, 'model.safetensors')];
  if (!existsSync(to)) await link(from, to).catch(() => copyFile(from, to));
}

async function writeTexts(folder, shape, activation) {
  const texts = {
    'config.json': configOf(shape, activation),
    'tokenizer.json': tokenizerOf(shape),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
  };
  for (const [file, json] of Object.entries(texts)) await writeFile(join(folder, file), JSON.stringify(json));
}

/** @param {string} source a folder in Hugging Face layout, or one with a GGUF @param {string} path */
export async function exportGguf(source, path, type) {
  if (existsSync(path)) return;
  log(`writing ${path}`);
  const { folderFiles, writeGguf } = await importCheckpoint();
  await writeGguf(path, await folderFiles(source), { type });
}

/** Our own files by `relufy convert`; a command that does not know `convert` is left alone. */
export async function convert(source, folder, dtype, options = []) {
  if (ifThere(folder)) return;
  log(`writing ${folder}`);
  const partial = `${folder}.partial`;
  const args = [cli, 'convert', source, '--dtype', dtype, '--out', partial, ...options];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === 0) await rename(partial, folder);
  else log(`not converted: ${stderr.trim().split('\n').at(-1)}`);
}

export function canConvert() {
  if (!existsSync(cli)) return false;
  const { stdout } = spawnSync(process.execPath, [cli, 'convert', '--help'], { encoding: 'utf8' });
  return stdout.startsWith('Usage: relufy convert');
}

async function main() {
  const { values } = parseArgs({
    options: {
      shape: { type: 'string', default: 'tinyllama' },
      scale: { type: 'string' },
      density: { type: 'string', default: '0.1' },
      out: { type: 'string', default: join(import.meta.dirname, 'models') },
      formats: { type: 'string', default: 'f16,q8_0,q4_0,int8,int4' },
    },
  });
  await makeModel({
    out: values.out,
    shape: values.scale ?? values.shape,
    density: Number(values.density),
    formats: values.formats.split(',').filter(Boolean),
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
