export { type Command, type CommandContext, commandOf, commands, isCommand, runCommand } from './commands.js';
export { type Answer, type AnswerOptions, type ChatModel, Conversation } from './conversation.js';
export { describeAnswer, describeStats, formatBytes, formatShare, threeDigits } from './describe.js';
export { type ChatHistory, historyFile, openHistory, rescueFile } from './history.js';
export type { Message } from './message-lines.js';
export {
  type ChatEnd,
  defaultSettings,
  type RunChatOptions,
  requireChatTemplate,
  runChat,
  settingsFor,
} from './run-chat.js';
export { readChat, type SavedChat, saveChat } from './saved-chat.js';
export {
  findSetting,
  type NumberRule,
  parseNumber,
  type Setting,
  type SettingKey,
  type Settings,
  settingTable,
  wholeFrom,
} from './settings.js';
export { columnsOf, cutTo } from './word-wrap.js';
