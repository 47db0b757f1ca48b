// Runs what each client is tried with (checks.mjs) with the packages of this folder: `node run.mjs URL [CLIENT]`. There is one
// of these beside each lockfile, as packages are found from where a file lies.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import * as messages from '@langchain/core/messages';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import * as ai from 'ai';
import { Ollama } from 'ollama';
import OpenAI, { toFile } from 'openai';
import { z } from 'zod';
import { runChecks } from './checks.mjs';

const langchain = { ChatOpenAI, OpenAIEmbeddings, ...messages };
await runChecks({ OpenAI, toFile, Ollama, ai, createOpenAICompatible, langchain, z }, process.argv[2], process.argv[3]);
