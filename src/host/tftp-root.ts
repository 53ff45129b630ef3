// The directory that TFTP serves, and nothing else of the file system.
//
// A guest's name is a path below the root, with or without a slash in front. Refused at once: components `..`, backslashes,
// control characters, names beyond 512 bytes. What is left is resolved with all its symbolic links, and must lie in the
// resolved root and be a regular file. It is opened without following a link at its end; and since a directory on the way
// may have been exchanged meanwhile, the path of the descriptor itself is looked at once more (or, outside of Linux, that
// the path still leads to what was opened).
//
// Every error of the file system becomes "missing" or "forbidden": guests learn nothing of what lies outside.

import { close, constants, fstat, open, read, statSync } from 'node:fs';
import { readlink, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { promisify } from 'node:util';
import { VdeError } from '../core/errors.ts';
import type { TftpFile, TftpFiles } from '../services/index.ts';

const MAX_NAME = 512;
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK; // a FIFO must not hold us up

const openAsync = promisify(open);
const fstatAsync = promisify(fstat);

export class TftpRoot implements TftpFiles {
  private readonly root: string;

  /**
   * @param root  directory, absolute
   * @throws ERR_VDE_BAD_OPTION when it is none
   */
  constructor(root: string) {
    this.root = root;
    if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new VdeError('ERR_VDE_BAD_OPTION', `cannot serve ${root} by TFTP: it is not a directory`);
    }
  }

  open(name: string, done: (file: TftpFile | null, why: 'missing' | 'forbidden') => void): void {
    const path = relativePath(name);
    if (path === null) {
      done(null, 'forbidden');
      return;
    }
    this.openInside(path).then(
      (file) => done(file, 'forbidden'),
      (error: NodeJS.ErrnoException) => done(null, isMissing(error) ? 'missing' : 'forbidden'),
    );
  }

  /** The file at a path relative to the root; null when it is not a regular file inside. */
  private async openInside(path: string): Promise<TftpFile | null> {
    const root = await realpath(this.root);
    const target = await realpath(join(root, path));
    if (!isBelow(root, target)) return null;
    const fd = await openAsync(target, FLAGS);
    try {
      const { size, ino, dev } = await regularFile(fd);
      if (size >= 0 && (await stillInside(root, target, fd, ino, dev))) return new RootFile(fd, size);
    } catch (error) {
      closeQuietly(fd);
      throw error;
    }
    closeQuietly(fd);
    return null;
  }
}

class RootFile implements TftpFile {
  readonly size: number;
  private readonly fd: number;
  private reading = false;
  private shut = false;

  constructor(fd: number, size: number) {
    this.fd = fd;
    this.size = size;
  }

  read(position: number, b: Uint8Array, done: (n: number) => void): void {
    this.reading = true;
    read(this.fd, b, 0, b.length, position, (error, n) => {
      this.reading = false;
      if (this.shut) closeQuietly(this.fd); // closing it while it was read would hit another file's descriptor
      done(error === null ? n : -1);
    });
  }

  close(): void {
    if (this.shut) return;
    this.shut = true;
    if (!this.reading) closeQuietly(this.fd);
  }
}

/** A guest's name as a path relative to the root, or null when it is none that may be looked at. */
function relativePath(name: string): string | null {
  if (name.length > MAX_NAME || /[\\\p{Cc}]/u.test(name)) return null;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || parts.includes('..')) return null;
  // One character per byte so far: file names are UTF-8.
  return Buffer.from(parts.join('/'), 'latin1').toString('utf8');
}

const isBelow = (root: string, path: string): boolean => path.startsWith(root.endsWith(sep) ? root : root + sep);

const isMissing = (error: NodeJS.ErrnoException): boolean => error.code === 'ENOENT' || error.code === 'ENOTDIR';

async function regularFile(fd: number): Promise<{ size: number; ino: number; dev: number }> {
  const found = await fstatAsync(fd);
  return { size: found.isFile() ? found.size : -1, ino: found.ino, dev: found.dev };
}

async function stillInside(root: string, path: string, fd: number, ino: number, dev: number): Promise<boolean> {
  try {
    return isBelow(root, await readlink(`/proc/self/fd/${fd}`));
  } catch {
    const now = await stat(await realpath(path)); // no /proc here
    return now.ino === ino && now.dev === dev;
  }
}

function closeQuietly(fd: number): void {
  close(fd, () => {}); // opened for reading: there is nothing to lose
}
