// Files and folders that were dropped on the page, by their names within what was dropped. Does not own what they are for.

/** Not more than a model's folder has: somebody may drop a whole disk. */
const most = 2000;

export async function filesOf(entries: readonly FileSystemEntry[]): Promise<Record<string, File>> {
  const files: Record<string, File> = {};
  const waiting = [...entries];
  for (let entry = waiting.shift(); entry !== undefined && Object.keys(files).length < most; entry = waiting.shift()) {
    if (entry.isFile) files[entry.fullPath.replace(/^\//, '')] = await fileOf(entry as FileSystemFileEntry);
    else waiting.push(...(await entriesOf(entry as FileSystemDirectoryEntry)));
  }
  return files;
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

/** A reader gives a hundred at a time, and none at the end. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
