// How changesets writes a package's CHANGELOG.md: what changed, and nothing of commits; no line for a dependency that is
// of this repository, as all of its packages but the models have one version.
// CommonJS: changesets loads it with require().
const text = ({ summary }) => {
  const [first, ...rest] = summary.trim().split('\n');
  return `- ${first}\n${rest.map((line) => `  ${line}`.trimEnd()).join('\n')}`.trimEnd();
};

module.exports = {
  getReleaseLine: async (changeset) => text(changeset),
  getDependencyReleaseLine: async () => '',
};
