// The server's side: Next.js runs it in Node, while it builds.
import { loadModel } from 'relufy';

export const dynamic = 'force-static';

export async function GET() {
  const model = await loadModel('llama-tales', { threads: 2 });
  const messages = [{ role: 'user', content: process.env.QUESTION }];
  const options = { temperature: 0, maxNewTokens: Number(process.env.MAX_NEW_TOKENS) };
  const { text } = await model.generate(messages, options).result;
  await model.dispose();
  return new Response(text);
}
