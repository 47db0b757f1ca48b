export { type Command, type CommandContext, commands, isCommand, runCommand } from './commands.js';
export { type Answer, type AnswerOptions, type ChatModel, Conversation } from './conversation.js';
export { describeAnswer, describeStats, formatBytes, formatShare, threeDigits } from './describe.js';
export { type ChatEnd, defaultSettings, type RunChatOptions, runChat } from './run-chat.js';
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
