// A chat model of LangChain.js that runs here: streams, stops by a signal, tells usage. Text alone, no tools.
import { SimpleChatModel } from '@langchain/core/language_models/chat_models';
import { AIMessageChunk } from '@langchain/core/messages';
import { ChatGenerationChunk } from '@langchain/core/outputs';

const roles = { human: 'user', ai: 'assistant', system: 'system', tool: 'tool' };

export class ChatRelufy extends SimpleChatModel {
  /** `model`: of `loadModel`. `options`: of `generate`. */
  constructor({ model, options = {}, ...fields }) {
    super(fields);
    this.model = model;
    this.options = options;
  }

  _llmType() {
    return 'relufy';
  }

  async _call(messages, options) {
    let text = '';
    for await (const chunk of this._streamResponseChunks(messages, options)) text += chunk.text;
    return text;
  }

  async *_streamResponseChunks(messages, { signal, stop } = {}, runManager = undefined) {
    const chat = messages.map((message) => ({ role: roles[message.getType()] ?? 'user', content: message.text }));
    const stream = this.model.generate(chat, {
      ...this.model.recommendedSampling,
      ...this.options,
      ...(signal && { signal }),
      ...(stop && { stop }),
    });
    for await (const { text } of stream) {
      yield new ChatGenerationChunk({ text, message: new AIMessageChunk(text) });
      await runManager?.handleLLMNewToken(text);
    }
    const { usage } = await stream.result;
    const usage_metadata = {
      input_tokens: usage.promptTokens,
      output_tokens: usage.completionTokens,
      total_tokens: usage.promptTokens + usage.completionTokens,
    };
    yield new ChatGenerationChunk({ text: '', message: new AIMessageChunk({ content: '', usage_metadata }) });
  }
}
