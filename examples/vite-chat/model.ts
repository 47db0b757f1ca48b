// The worker: the model, and the AI SDK's loop around it.
import { relufy } from '@relufy/ai-provider';
import { chatTransport, serveChat } from '@relufy/ai-provider/chat-transport';

serveChat(self, chatTransport({ model: relufy('llama-tales'), maxOutputTokens: 120 }));
