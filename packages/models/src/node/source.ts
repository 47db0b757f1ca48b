// What `loadModel` accepts in Node: also a folder's or file's path, and names on the hub through the shared cache.
import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles } from '@relufy/checkpoint';
import { folderFiles, hubFiles, parseHubId } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';
import { type LoadOptions, loadModelFiles, type SourceOptions } from '../load-model.js';
import { checkLoadOptions, checkSource } from '../load-options.js';
