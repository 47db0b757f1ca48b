// Writes a converted model as a folder, all of it or nothing: into a folder beside the target, renamed at the end.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ModelFiles } from '@relufy/checkpoint';
import { writeSafetensors } from '@relufy/checkpoint/node';
import { RelufyError } from '@relufy/tensor';
import { type ConversionOptions, planConversion } from '../convert.js';

/**
 * Converts a model into a folder in Hugging Face layout. Streams: memory used is one matrix.
 * @throws RelufyError `io` when the folder exists and is not empty, or cannot be written; nothing is left behind.
 */
export async function convertModel(files: ModelFiles, folder: string, options: ConversionOptions): Promise<void> {
  const target = resolve(folder);
  await refuseOccupied(target);
  const conversion = await planConversion(files, options);
  const staging = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`);
  try {
    await mkdir(staging, { recursive: true }).catch(toIoError(target));
    for (const [file, text] of conversion.texts) await writeFile(join(staging, file), text).catch(toIoError(target));
    await writeSafetensors(join(staging, 'model.safetensors'), conversion.tensors, {
      metadata: conversion.metadata,
      alignment: conversion.alignment,
      signal: options.signal,
    });
    // an empty folder may stand where ours will be; rename replaces it on POSIX, Windows wants it gone
    await rm(target, { recursive: false, force: true }).catch(() => {});
    await rename(staging, target).catch(toIoError(target));
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  } finally {
    await conversion.close();
  }
}

async function refuseOccupied(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RelufyError('io', `${folder}: expected a folder to write, got ${error.code}.`, { cause: error });
  });
  if (found.length > 0)
    throw new RelufyError(
      'io',
      `${folder}: expected no folder, or an empty one, got ${found.length} files. Choose another, or remove it.`,
    );
}

const toIoError =
  (path: string) =>
  (cause: NodeJS.ErrnoException): never => {
    const remedy =
      cause.code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check that the folder can be written.';
    throw new RelufyError('io', `${path}: expected to write it, got ${cause.code ?? cause.message}. ${remedy}`, {
      cause,
    });
  };
