import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { entry, f32, floats, messageOf, safetensors } from '../../testing/craft.js';
import { gguf, textField } from '../../testing/gguf.js';
import { httpFiles, openCheckpoint, openGguf } from '../index.js';
import { folderFiles, writeSafetensors } from '../node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-checkpoint-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const model = safetensors({ x: entry('F32', [2, 1], 0, 8) }, f32(1, 2));

async function fresh(name: string, contents: Record<string, Uint8Array | string> = {}): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  for (const [file, content] of Object.entries(contents)) await writeFile(join(path, file), content);
  return path;
}

describe('folderFiles', () => {
  it('reads a folder', async () => {
    const path = await fresh('plain', { 'model.safetensors': model, 'config.json': '{"a":1}' });
    const files = await folderFiles(path);
    expect(await files.readText('config.json')).toBe('{"a":1}');
    expect(await files.readText('missing.json')).toBeUndefined();
    expect(await files.readText('model.safetensors/x')).toBeUndefined();
    expect(await files.list?.()).toEqual(['config.json', 'model.safetensors']);
    const checkpoint = await openCheckpoint(files);
    expect(floats((await checkpoint.readRows('x', 1, 1)).data)).toEqual([2]);
    await checkpoint.close();
    await checkpoint.close();
    expect(await messageOf(() => files.readText('config.json', { limitBytes: 3 }))).toContain('at most 3 bytes');
    expect(await messageOf(() => folderFiles(join(path, 'nowhere')), 'io')).toContain('nowhere: expected a folder');
  });

  it('keeps inside the folder', async () => {
    const path = await fresh('inside', { 'model.safetensors': model });
    await writeFile(join(folder, 'secret'), 'secret');
    await symlink(join(folder, 'secret'), join(path, 'config.json'));
    await symlink('model.safetensors', join(path, 'alias'));
    await mkdir(join(path, 'sub'));
    const files = await folderFiles(path);
    expect(await messageOf(() => files.readText('config.json'))).toContain('link, expected to stay inside');
    expect(await messageOf(() => files.readText('../secret'))).toContain('file name');
    expect(await messageOf(() => files.readText(join(folder, 'secret')))).toContain('file name');
    expect(await messageOf(() => files.readText('sub'), 'io')).toContain('expected a file');
    const alias = await files.open('alias');
    expect(alias?.size).toBe(model.byteLength);
    await alias?.close();
    expect(await (await folderFiles(path, { followLinks: true })).readText('config.json')).toBe('secret');
  });

  it('follows the links of the Hugging Face cache', async () => {
    const repository = join(folder, 'models--a--b');
    const snapshot = join(repository, 'snapshots', 'abc');
    await mkdir(join(repository, 'blobs'), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(repository, 'blobs', '123'), 'text');
    await writeFile(join(repository, 'outside'), 'text');
    await symlink('../../blobs/123', join(snapshot, 'config.json'));
    await symlink('../../outside', join(snapshot, 'bad.json'));
    const files = await folderFiles(snapshot);
    expect(await files.readText('config.json')).toBe('text');
    expect(await messageOf(() => files.readText('bad.json'))).toContain('link');
  });

  it('takes one file as a folder, with the other parts of a split one', async () => {
    const path = await fresh('single', {
      'a.gguf': 'a',
      'b.gguf': 'b',
      'c-00001-of-00002.gguf': '1',
      'c-00002-of-00002.gguf': '2',
      'c-00001-of-00003.gguf': '3',
    });
    const files = await folderFiles(join(path, 'a.gguf'));
    expect(await files.list?.()).toEqual(['a.gguf']);
    expect(await files.readText('b.gguf')).toBeUndefined();
    expect(await files.readText('a.gguf')).toBe('a');
    expect(await (await folderFiles(join(path, 'c-00001-of-00002.gguf'))).list?.()).toEqual([
      'c-00001-of-00002.gguf',
      'c-00002-of-00002.gguf',
    ]);
  });
});

describe('writeSafetensors', () => {
  const tensors = [{ name: 'x', dtype: 'F32', shape: [2], data: f32(3, 4) }];

  it('is atomic', async () => {
    const path = await fresh('written');
    const file = join(path, 'model.safetensors');
    await writeSafetensors(file, tensors, { metadata: { a: 'b' }, alignment: 64 });
    const before = await readFile(file);
    const failing = [{ ...tensors[0]!, data: () => [f32(3)] }];
    await messageOf(() => writeSafetensors(file, failing), 'option');
    const controller = new AbortController();
    const aborted = writeSafetensors(
      file,
      [
        {
          ...tensors[0]!,
          data: function* () {
            yield f32(3);
            controller.abort(new Error('stop'));
            yield f32(4);
          },
        },
      ],
      { signal: controller.signal },
    );
    await expect(aborted).rejects.toThrow('stop');
    expect(await readFile(file)).toEqual(before);
    expect(await readdir(path)).toEqual(['model.safetensors']);
    const checkpoint = await openCheckpoint(await folderFiles(path));
    expect(floats((await checkpoint.readRows('x', 0, 1)).data)).toEqual([3, 4]);
    await checkpoint.close();
    expect(await messageOf(() => writeSafetensors(join(path, 'no', 'file'), tensors), 'io')).toContain('ENOENT');
  });
});

describe('httpFiles', () => {
  let server: Server;
  let base: string;
  let mode = 'range';
  let failures = 0;
  const requests: string[] = [];
  const big = safetensors({ x: entry('F32', [40_000, 1], 0, 160_000) }, 160_000);
  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://x').pathname;
      requests.push(`${path} ${request.headers.range}`);
      if (failures-- > 0) {
        response.statusCode = 503;
        response.end();
      } else if (path === '/m/model.safetensors') {
        const [, begin, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') as unknown as string[];
        if (mode === 'whole') return response.end(big);
        const last = Math.min(Number(end), big.byteLength - 1);
        const body = big.subarray(Number(begin), last + 1);
        response.statusCode = 206;
        response.setHeader('content-range', `bytes ${begin}-${last}/${big.byteLength}`);
        if (mode === 'short' && Number(begin) > 0) {
          response.setHeader('content-length', body.byteLength);
          response.write(body.subarray(0, 10), () => response.destroy());
        } else response.end(mode === 'long' && Number(begin) > 0 ? Buffer.concat([body, body]) : body);
      } else if (path === '/m/x.gguf') {
        response.end(gguf({ fields: [textField('general.architecture', 'bert')] }));
      } else if (path === '/m/page.json') {
        response.setHeader('content-type', 'text/html; charset=utf-8');
        response.end('<html></html>');
      } else if (path === '/m/empty.json') {
        response.statusCode = 416;
        response.setHeader('content-range', 'bytes */0');
        response.end();
      } else {
        response.statusCode = path === '/m/secret.json' ? 403 : 404;
        response.end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as { port: number }).port}/m`;
  });
  afterAll(() => server.close());

  it('reads ranges, or the whole where the server knows no ranges', async () => {
    for (mode of ['range', 'whole']) {
      requests.length = 0;
      const checkpoint = await openCheckpoint(httpFiles(base));
      const { data } = await checkpoint.readRows('x', 30_000, 2);
      expect(data).toEqual(big.subarray(big.byteLength - 40_000, big.byteLength - 39_992));
      expect((await checkpoint.readRows('x', 7, 0)).data.byteLength).toBe(0);
    }
  });

  it('takes the address of a GGUF as a folder with it', async () => {
    const files = httpFiles(`${base}/x.gguf`);
    expect(await files.list?.()).toEqual(['x.gguf']);
    expect((await openGguf(files)).ggufMetadata.get('general.architecture')).toBe('bert');
    expect(await messageOf(() => files.readText('config.json'))).toContain(
      'metadata "general.architecture", expected llama, falcon,',
    );
    expect(await files.readText('model.safetensors.index.json')).toBeUndefined();
  });

  it('tells missing files from refused ones', async () => {
    const files = httpFiles(base);
    expect(await files.readText('missing.json')).toBeUndefined();
    expect(await files.readText('page.json')).toBeUndefined();
    expect(await files.readText('empty.json')).toBe('');
    expect(await messageOf(() => files.readText('secret.json'), 'io')).toContain('403');
    expect(await messageOf(() => files.readText('../x'))).toContain('file name');
  });

  it('tries again, and in the end says so', async () => {
    mode = 'range';
    failures = 2;
    const files = httpFiles(base);
    const checkpoint = await openCheckpoint({ ...files, readText: async () => undefined });
    mode = 'short';
    expect(await messageOf(() => checkpoint.readRows('x', 30_000, 2000), 'io')).toContain('tried 3 times');
    mode = 'long';
    expect(await messageOf(() => checkpoint.readRows('x', 30_000, 2000), 'io')).toContain('got more');
    const controller = new AbortController();
    const read = checkpoint.readRows('x', 30_000, 2000, controller.signal);
    controller.abort(new Error('stop'));
    await expect(read).rejects.toThrow('stop');
  });
});

describeShared('golden safetensors', 'golden', () => {
  it('open, and their first tensor reads', async () => {
    let opened = 0;
    for (const name of await readdir(shared('golden'))) {
      const path = shared(`golden/${name}`);
      const files = await readdir(path).catch(() => []);
      if (!files.some((file) => file.startsWith('model') && file.includes('safetensors'))) continue;
      const checkpoint = await openCheckpoint(await folderFiles(path));
      for (const [tensor, { shape }] of checkpoint.tensors)
        await checkpoint.readRows(
          tensor,
          0,
          shape.slice(0, -1).reduce((a, b) => a * b, 1),
        );
      await checkpoint.close();
      opened++;
    }
    expect(opened).toBeGreaterThan(10);
  });
});

it('errors name a GGUF by the path that it has, given as a file or in its folder', async () => {
  const path = await fresh('odd', { 'odd.gguf': gguf({ fields: [textField('general.architecture', 'odd')] }) });
  const where = join(path, 'odd.gguf');
  for (const place of [path, where]) {
    const files = await folderFiles(place);
    const message = await messageOf(async () => files.readText('config.json'));
    expect(message.startsWith(`${where}: `), message).toBe(true);
  }
});
