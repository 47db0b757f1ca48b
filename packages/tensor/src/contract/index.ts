export { buffer, type CaseBuffer, type Fill, type OpCase } from './case.js';
export { opCases } from './cases.js';
export { normal, uniform } from './random.js';
export { type CaseResult, caseProgram, fill, runCase } from './run-case.js';
export { type BackendSuite, expectClose, expectSameBits, runBackendSuite } from './suite.js';
