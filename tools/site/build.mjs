// `npm --prefix tools/site run build`: the documentation as a site, in build/site: the pages of docs/, ARCHITECTURE.md and
// the READMEs of the packages, and a reference that TypeDoc makes of docstrings. Needs `pnpm build` before, and no network.
// Owns gathering the pages into one folder, where every link between them still leads; the site itself is config.mjs.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application } from 'typedoc';
import { build } from 'vitepress';

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = `${root}build/site-source`;

rmSync(source, { recursive: true, force: true });
mkdirSync(source, { recursive: true });
cpSync(`${root}docs`, `${source}/docs`, { recursive: true });
for (const file of ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'LICENSE', 'LOG.md', 'README.md', 'CHANGELOG.md'])
  if (existsSync(root + file)) cpSync(root + file, `${source}/${file}`);
const packages = ['packages', 'apps'].flatMap((group) =>
  readdirSync(root + group)
    .map((name) => `${group}/${name}`)
    .filter((folder) => existsSync(`${root}${folder}/README.md`) && existsSync(`${root}${folder}/package.json`)),
);
for (const folder of packages) {
  mkdirSync(`${source}/${folder}`, { recursive: true });
  cpSync(`${root}${folder}/README.md`, `${source}/${folder}/README.md`);
}

await makeReference();
for (const file of readdirSync(`${source}/docs`, { recursive: true }).filter((name) => name.endsWith('.html')))
  publish(file);
await build(source, { outDir: `${root}build/site` });
console.log('build/site');

/** Pages that are whole HTML files are served as they are; VitePress takes them from `public`. */
function publish(file) {
  const to = `${source}/public/docs/${file}`;
  mkdirSync(path.dirname(to), { recursive: true });
  cpSync(`${source}/docs/${file}`, to);
}

/** docs/reference: one folder a package, from the types that were built and their docstrings. */
async function makeReference() {
  const entries = packages
    .map((folder) => ({ folder, types: typesOf(folder) }))
    .filter(({ types }) => types !== undefined && existsSync(types));
  const app = await Application.bootstrapWithPlugins({
    plugin: ['typedoc-plugin-markdown'],
    entryPoints: entries.map(({ types }) => types),
    entryPointStrategy: 'resolve',
    tsconfig: writeConfig(entries.map(({ types }) => types)),
    out: `${source}/docs/reference`,
    readme: 'none',
    name: 'Reference',
    disableSources: true,
    excludeExternals: true,
    skipErrorChecking: true,
    hideBreadcrumbs: true,
    entryFileName: 'index',
    logLevel: 'Error',
    // TypeDoc names a module by its file
    basePath: root,
    displayBasePath: root,
  });
  const project = await app.convert();
  if (project === undefined) throw new Error('tools/site: TypeDoc could not read the types. Run `pnpm build` first.');
  for (const [index, module] of (project.children ?? []).entries())
    if (entries.length > 1 && entries[index] !== undefined) module.name = nameOf(module.name, entries);
  await app.generateOutputs(project);
}

function nameOf(name, entries) {
  const entry = entries.find(({ folder }) => name.startsWith(folder));
  return entry === undefined ? name : JSON.parse(readFileSync(`${root}${entry.folder}/package.json`, 'utf8')).name;
}

function typesOf(folder) {
  const find = (conditions) => {
    if (typeof conditions === 'string') return conditions.endsWith('.d.ts') ? conditions : undefined;
    for (const condition of ['node', 'types', 'import', 'default']) {
      const found = conditions?.[condition] === undefined ? undefined : find(conditions[condition]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const types = find(JSON.parse(readFileSync(`${root}${folder}/package.json`, 'utf8')).exports?.['.']);
  return types === undefined ? undefined : path.join(root, folder, types);
}

function writeConfig(files) {
  const at = `${source}/tsconfig.json`;
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'es2024.sharedmemory', 'esnext.disposable', 'dom', 'dom.asynciterable'],
    module: 'nodenext',
    moduleResolution: 'nodenext',
    strict: true,
    skipLibCheck: true,
    types: [],
  };
  writeFileSync(at, JSON.stringify({ compilerOptions, files }));
  mkdirSync(`${source}/.vitepress`, { recursive: true });
  cpSync(fileURLToPath(new URL('./config.mjs', import.meta.url)), `${source}/.vitepress/config.mjs`);
  return at;
}
