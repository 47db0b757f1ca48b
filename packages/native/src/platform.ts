// The name of the platform that a binary is built for: PLATFORM-ARCH, and `-musl` where Node runs on musl (Alpine).
import { readFileSync } from 'node:fs';

/** For example `linux-x64`, `linux-arm64-musl`, `darwin-arm64`, `win32-x64`. */
export const platformName: string = `${process.platform}-${process.arch}${usesMusl() ? '-musl' : ''}`;

/** Whether this process runs on musl, by what it has mapped: asking for a process report takes longer than loading. */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return readFileSync('/proc/self/maps', 'utf8').includes('/ld-musl-');
  } catch {
    return false;
  }
}
