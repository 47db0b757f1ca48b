// What is asked of the tarballs of a release: manifests, sizes, changelogs, and what a user installs with them (licences
// and a bill of materials). publint, types and names are asked by tools/checks, on the same packages.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install } from './projects.mjs';
import { root, run } from './staged-clone.mjs';

const versionPattern = /^\d+\.\d+\.\d+$/;

/** Every manifest: what npm shows, and what publishing with provenance needs. */
export async function checkManifests({ packages }) {
  const wrong = packages.flatMap(({ name, manifest }) => {
    const own = Object.entries({ ...manifest.dependencies, ...manifest.optionalDependencies });
    const range = (dependency) => packages.find((one) => one.name === dependency)?.version;
    return [
      ...['description', 'license', 'engines'].filter((key) => !manifest[key]).map((key) => `${name}: no "${key}"`),
      ...(manifest.publishConfig?.access === 'public' ? [] : [`${name}: publishConfig.access is not public`]),
      ...(manifest.publishConfig?.provenance === true ? [] : [`${name}: publishConfig.provenance is not true`]),
      ...Object.keys(manifest.scripts ?? {})
        .filter((script) => /^(pre|post)?install$|^prepare$/.test(script))
        .map((script) => `${name}: runs a script when it is installed (${script})`),
      ...own
        .filter(([dependency, wanted]) => {
          const version = range(dependency);
          return version === undefined ? !versionPattern.test(wanted) : wanted.replace('^', '') !== version;
        })
        .map(
          ([dependency, wanted]) => `${name}: depends on ${dependency} ${wanted}, not pinned or not of this release`,
        ),
    ];
  });
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  const lacking = packages.filter(({ manifest }) => manifest.repository === undefined).length;
  return [
    `${packages.length} manifests: public, with provenance, dependencies of this release or pinned, no install script`,
    ...(lacking > 0
      ? [`${lacking} have no "repository": npm gives provenance only where it is the one that the workflow runs in`]
      : []),
  ];
}

/** No tarball larger than tools/release/sizes.json allows, in kB; it is raised on purpose, with what needs it. */
export async function checkSizes({ packages }) {
  const limits = JSON.parse(readFileSync(new URL('./sizes.json', import.meta.url), 'utf8'));
  const limitOf = (name) => limits[name] ?? limits[name.replace(/^@relufy\/native-.*/, '@relufy/native-*')];
  const wrong = packages
    .filter(({ name, packed }) => !(packed <= limitOf(name) * 1000))
    .map(
      ({ name, packed }) =>
        `${name}: ${Math.ceil(packed / 1000)} kB packed, expected at most ${limitOf(name) ?? 'an entry in sizes.json'}`,
    );
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  return packages.map(
    ({ name, packed, unpacked, files }) =>
      `${name}: ${Math.round(packed / 1000)} kB packed, ${Math.round(unpacked / 1000)} kB in ${files.length} files`,
  );
}

/** CHANGELOG.md, which people read, has a section for the version of relufy. */
export async function checkChangelog({ packages, clone }) {
  const { version } = packages.find(({ name }) => name === 'relufy');
  const text = readFileSync(`${root}CHANGELOG.md`, 'utf8');
  const section = text.split(/^## /m).find((part) => part.startsWith(version));
  if (section === undefined)
    throw new Error(`CHANGELOG.md: expected a section "## ${version}", found none. Write what a user gains.`);
  const generated = readFileSync(join(clone, 'packages/relufy/CHANGELOG.md'), 'utf8');
  return [
    `${version}: ${section.split('\n').length} lines for people, ${generated.split('\n').length} of relufy's own by changesets`,
  ];
}

/** MPL-2.0 binds the files of resvg alone, which we do not change; OFL-1.1 the font of PNG charts, which is not sold by itself. */
const allowedLicences =
  /^(Apache-2\.0|MIT|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|CC0-1\.0|BlueOak-1\.0\.0|Python-2\.0|Unlicense|MPL-2\.0|OFL-1\.1)$/;

/** What `npm install relufy` brings: every licence, and a bill of materials in CycloneDX by npm itself. */
export async function checkInventory(release) {
  const project = install(release, 'npm', 'inventory');
  const bill = run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], project);
  const file = join(release.folder, 'relufy.cdx.json');
  writeFileSync(file, bill);
  const { components } = JSON.parse(bill);
  const licenceOf = ({ licenses = [] }) =>
    licenses.map(({ license, expression }) => expression ?? license.id ?? license.name).join(' AND ') || 'none';
  const isAllowed = (text) =>
    text
      .replace(/[()]/g, '')
      .split(/ OR /)
      .some((one) => one.split(/ AND /).every((id) => allowedLicences.test(id)));
  const wrong = components.filter((one) => !isAllowed(licenceOf(one)));
  if (wrong.length > 0)
    throw new Error(wrong.map((one) => `${one.name}@${one.version}: licence ${licenceOf(one)}`).join('\n'));
  const counts = new Map();
  for (const one of components) counts.set(licenceOf(one), (counts.get(licenceOf(one)) ?? 0) + 1);
  return [
    `${components.length} packages: ${[...counts].map(([licence, count]) => `${count} ${licence}`).join(', ')}`,
    `bill of materials: CycloneDX, ${Math.round(bill.length / 1000)} kB`,
  ];
}
