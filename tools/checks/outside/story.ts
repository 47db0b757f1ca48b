// TypeScript of somebody who installed relufy: packed.test.ts compiles a copy of it outside the workspace, strictly and
// with the declarations checked too, and runs the result.
import { type GenerateOptions, type LoadOptions, loadModel, type Model, type Piece } from 'relufy';

declare const process: { argv: string[]; stdout: { write(text: string): void } };

const [question, maxNewTokens] = process.argv.slice(2);
const loading: LoadOptions = { sparsity: 'exact' };
const model: Model = await loadModel('llama-tales', loading);
const options: GenerateOptions = { temperature: 0, maxNewTokens: Number(maxNewTokens) };
const pieces: AsyncIterable<Piece> = model.generate([{ role: 'user', content: question as string }], options);
for await (const { text } of pieces) process.stdout.write(text);
const density: number | undefined = model.stats().density.down?.[0];
if (!(density !== undefined && density < 1)) throw new Error(`story.ts: expected a density below 1, got ${density}.`);
await model.dispose();
