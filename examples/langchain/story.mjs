// A chain of LangChain.js with a model that runs here: `node examples/langchain/story.mjs "a storm at sea"`.
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { loadModel } from 'relufy';
import { ChatRelufy } from './relufy-chat-model.mjs';

const model = await loadModel('llama-tales');
const chain = ChatPromptTemplate.fromMessages([['human', 'Tell me a story about {subject}.']])
  .pipe(new ChatRelufy({ model, options: { maxNewTokens: 80 } }))
  .pipe(new StringOutputParser());
for await (const text of await chain.stream({ subject: process.argv[2] ?? 'a storm at sea' }))
  process.stdout.write(text);
process.stdout.write('\n');
await model.dispose();
