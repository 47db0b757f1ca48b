import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The contract suites take longest: begun last, they would keep one core busy while the others are done. */
class ContractsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isContract = ({ moduleId }: TestSpecification) => moduleId.endsWith('/contract.test.ts');
    const sorted = await super.sort(files);
    return [...sorted.filter(isContract), ...sorted.filter((file) => !isContract(file))];
  }
}

export default defineConfig({
  test: {
    include: ['{packages,apps,tools}/**/*.test.ts'],
    globalSetup: 'tools/testing/run-folder.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // what a page shows comes when it comes, on a busy machine later
    expect: { poll: { timeout: 20_000 } },
    // what was built is run as it is by whoever installs it: no transformation
    server: { deps: { external: [/\/(?:packages|apps)\/[^/]+\/dist\//] } },
    maxWorkers: 2,
    pool: 'forks',
    sequence: { sequencer: ContractsFirst },
  },
});
