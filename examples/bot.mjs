// A bot among several people, as on Discord: one model, a conversation a person, several answers at once. Reads lines `name: message` from its input: `node examples/bot.mjs`, then type `ann: Tell me a story.`
import { createInterface } from 'node:readline';
import { loadModel } from 'relufy';

/** What one person and the bot said; the oldest goes when there is too much. */
const conversations = new Map();
const mostMessages = 6;

const model = await loadModel('llama-tales');
process.stdout.write('bot: I am here.\n');

/** By name: what the bot is still writing. A person's messages are answered in their order. */
const waiting = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const [, name, text] = /^(\w+):\s*(.+)$/.exec(line) ?? [];
  if (name === undefined) process.stdout.write('bot: Write "name: message".\n');
  else {
    const before = waiting.get(name) ?? Promise.resolve();
    waiting.set(
      name,
      before.then(() => answer(name, text)),
    );
  }
}
await Promise.all(waiting.values());
await model.dispose();

async function answer(name, text) {
  const said = conversations.get(name) ?? [];
  conversations.set(name, said);
  said.push({ role: 'user', content: text });
  try {
    // calls on one model share it; what was computed for a person is found again
    const { text: reply, usage } = await model.generate(said.slice(-mostMessages), {
      ...model.recommendedSampling,
      maxNewTokens: 60,
    }).result;
    said.push({ role: 'assistant', content: reply });
    process.stdout.write(
      `bot to ${name}: ${reply.replaceAll(/\s+/g, ' ').trim()} [${usage.cachedTokens} tokens were cached]\n`,
    );
  } catch (error) {
    process.stdout.write(`bot to ${name}: I cannot answer that: ${error.message}\n`);
  }
}
