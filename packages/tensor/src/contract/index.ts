export { buffer, type CaseBuffer, type Fill, type OpCase } from './case.js';
export { opCases } from './cases.js';
export { backendGradients, finiteDifferences, type GradientCase, type Gradients } from './gradient-case.js';
export { gradientCases } from './gradient-cases.js';
export { normal, uniform } from './random.js';
export { type CaseResult, caseProgram, fill, runCase, runCases } from './run-case.js';
export { type BackendSuite, expectClose, expectSameBits, runBackendSuite } from './suite.js';
export { type WideShape, wideProducts, wideShapes } from './wide-products.js';
