// What the contract suite takes of vitest, over node:test, for systems that vitest has no binaries for: the matchers are
// vitest's own. Owns no assertion and no test.
import { after, before, describe, it } from 'node:test';
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';
import * as chai from 'chai';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = (value, message) => chai.expect(value, message);
expect.fail = (message) => chai.assert.fail(message);
expect.unreachable = () => chai.assert.fail('expected not to be reached');

export { after as afterAll, before as beforeAll, describe, it };
