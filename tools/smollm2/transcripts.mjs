// Writes down what the chat's default model answers with the settings of its package: twelve prompts, each in a chat of
// its own, and a chat of twelve turns. Nothing is chosen: one seed, the first answers.
//   node tools/smollm2/transcripts.mjs [--seed N] [--settings JSON] > docs/chats/smollm2-135m-instruct.md
// Runs on WebAssembly without relaxed SIMD, whose bits are the same on every machine. Does not own the settings
// (packages/smollm2-135m-instruct/model/generation_config.json).
import { parseArgs } from 'node:util';
import { Conversation, settingsFor } from '../../apps/chat/dist/index.js';
import { createWasmBackend } from '../../packages/kernels/dist/node.js';
import { loadModel } from '../../packages/models/dist/node.js';
import { modelUrl } from '../../packages/smollm2-135m-instruct/index.js';

const prompts = [
  'Hello!',
  'What is the capital of France?',
  'What is 2+2?',
  'Tell me a joke.',
  'Write a short poem about autumn.',
  'Give me a simple recipe for pancakes.',
  'Why is the sky blue?',
  'Translate "Good morning, my friend" into French.',
  'Write a short email that asks my boss for a day off.',
  'Give me three tips for sleeping better.',
  'What is photosynthesis?',
  'Tell me a short story about a fox.',
];
const turns = [
  'Hello! Who are you?',
  'What is the capital of France?',
  'And of Italy?',
  'Tell me a joke.',
  'Tell me another one.',
  'What should I cook tonight?',
  'How do I make pancakes?',
  'Why is the sky blue?',
  'Write a short poem about the sea.',
  'What is 7 times 8?',
  'How do plants make their food?',
  'Tell me a short story about a dragon.',
];

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' }, settings: { type: 'string' } } });
const backend = await createWasmBackend({ threads: 2, relaxedSimd: false });
const model = await loadModel(modelUrl, { backend });
const settings = settingsFor(model, {
  maxNewTokens: 160,
  ...JSON.parse(values.settings ?? '{}'),
  seed: Number(values.seed),
});
const said = Object.entries(settings).map(([key, value]) => `${key} ${value}`);

/** Sentences of 20 characters or more, and how many of them an earlier answer has. */
function copiedOf(text, earlier) {
  const sentences = text.split(/(?<=[.!?])\s+|\n+/).filter((sentence) => sentence.length >= 20);
  return [sentences.filter((sentence) => earlier.some((answer) => answer.includes(sentence))).length, sentences.length];
}
const quoted = (text) => text.replaceAll(/^/gm, '> ').replaceAll(/^> $/gm, '>');
const ended = ({ finishReason, tokenIds }) => (finishReason === 'stop' ? '' : ` _(cut at ${tokenIds.length} tokens)_`);
const write = (text) => process.stdout.write(`${text}\n`);

write(`# What the chat's default model answers

SmolLM2-135M-Instruct as packaged, by \`tools/smollm2/transcripts.mjs\`, which chooses nothing: ${said.join(', ')}.

## Twelve prompts, each in a chat of its own
`);
for (const prompt of prompts) {
  const { result } = await new Conversation(model, { settings }).answer(prompt);
  write(`**${prompt}**${ended(result)}\n\n${quoted(result.text.trim())}\n`);
}
write('## A chat of twelve turns\n');
const chat = new Conversation(model, { settings });
const answers = [];
let copied = 0;
for (const turn of turns) {
  const { result } = await chat.answer(turn);
  const text = result.text.trim();
  copied += copiedOf(text, answers)[0];
  answers.push(text);
  write(`**${turn}**${ended(result)}\n\n${quoted(text)}\n`);
}
write(`Sentences that an earlier answer has too: ${copied}.`);
await model.dispose();
await backend.dispose();
