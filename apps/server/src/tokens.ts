// What a model's tokenizer and template make of a text, without generating: /tokenize, /detokenize, /apply-template,
// /tokenizer_info, as llama-server and vLLM have them. Does not own tokenizers or templates.
import type { Model } from '@relufy/models';
import { aBoolean, aText, aWhole, listOf } from '@relufy/tensor';
import type { Tokenizer } from '@relufy/tokenizer';
import { badField } from './api-error.js';
import type { Body } from './body.js';
import { withModel } from './in-slot.js';
import { chatFields, renderChat, tokenizerOf } from './prompts.js';
import type { Call } from './service.js';

export function tokenize(call: Call, body: Body): Promise<Response> {
  return withModel(call, body.get<string>('model', aText), (model) => {
    const tokenizer = tokenizerOf(model);
    // llama-server adds no special tokens unless told to, vLLM does; who says `prompt` is a client of vLLM's
    const content = body.get<string>('content', aText);
    const prompt = body.get<string>('prompt', aText);
    const addSpecialTokens =
      body.first<boolean>(['add_special', 'add_special_tokens'], aBoolean) ?? content === undefined;
    const withPieces = body.get<boolean>('with_pieces', aBoolean) ?? false;
    body.ignore('parse_special', 'return_token_strs');
    const text = content ?? prompt ?? (body.has('messages') ? renderChat(model, chatFields(body)) : undefined);
    if (text === undefined) throw badField('content', 'a text', 'nothing');
    const tokens = tokenizer.encode(text, { addSpecialTokens: addSpecialTokens && !body.has('messages') });
    call.service.unreadFields.tell(call.route, body.unread());
    return Response.json({
      tokens: withPieces ? tokens.map((id) => ({ id, piece: pieceOf(tokenizer, id) })) : tokens,
      count: tokens.length,
      max_model_len: model.contextLength,
    });
  });
}

/** A part of a character is no text: its bytes, as llama-server has them. */
function pieceOf(tokenizer: Tokenizer, id: number): string | readonly number[] {
  const text = tokenizer.decode([id]);
  return text.includes('\ufffd') ? [...tokenizer.tokenBytes(id)] : text;
}

export function detokenize(call: Call, body: Body): Promise<Response> {
  return withModel(call, body.get<string>('model', aText), (model) => {
    const tokenizer = tokenizerOf(model);
    const most = tokenizer.vocabSize - 1;
    const ids = body.required<readonly number[]>('tokens', listOf(aWhole(0, most), `token ids from 0 to ${most}`));
    call.service.unreadFields.tell(call.route, body.unread());
    const content = tokenizer.decode(ids);
    return Response.json({ content, prompt: content });
  });
}

export function applyTemplate(call: Call, body: Body): Promise<Response> {
  return withModel(call, body.get<string>('model', aText), (model) => {
    const tools = body.raw('tools');
    const prompt = renderChat(model, chatFields(body), Array.isArray(tools) ? tools : []);
    call.service.unreadFields.tell(call.route, body.unread());
    return Response.json({ prompt });
  });
}

/** For clients that tokenize by asking: lm-evaluation-harness does. */
export function tokenizerInfo(call: Call): Promise<Response> {
  return withModel(call, undefined, (model) => Response.json(tokenizerFacts(model)));
}

export function tokenizerFacts(model: Model): Readonly<Record<string, unknown>> {
  const tokenizer = tokenizerOf(model);
  return {
    tokenizer_class: 'relufy',
    bos_token: tokenizer.bosToken ?? null,
    eos_token: tokenizer.eosToken ?? null,
    unk_token: tokenizer.unkToken ?? null,
    pad_token: tokenizer.padToken ?? null,
    chat_template: tokenizer.chatTemplates.get('default') ?? null,
    model_max_length: model.contextLength,
  };
}
