// One writer for a lease file: an flock(2) on FILE.lock for the life of the process. The kernel gives it up with the
// process, however that ends, so a kill never stands in the way of the next start.

import { VdeError } from '../core/errors.ts';
import { LeaseFile, type LeaseFileOptions } from '../host/lease-file.ts';
import { lockFile, unlockFile } from '../link/index.ts';
import { native } from '../native/native.ts';

/**
 * Opens a lease file that nobody else writes. Without the native addon there are no locks, and two processes are not kept
 * apart. Where no lock file can be made, no lease file can be written either: it warns of that itself.
 *
 * @param defer  takes what is to be run at the end, in reverse order
 * @throws VdeError  ERR_VDE_BAD_OPTION: another process has the file, or it is none of ours
 */
export function openLeases(options: LeaseFileOptions, defer: (run: () => Promise<void> | void) => void): LeaseFile {
  const lock = `${options.path}.lock`;
  const held = takeLock(lock);
  if (held === 'held' || held === 'foreign') {
    const why = held === 'held' ? 'another process keeps its leases there' : `${lock} is not a file of this user`;
    throw new VdeError('ERR_VDE_BAD_OPTION', `lease file ${options.path}: ${why}; choose another file with --leases`);
  }
  if (held !== null) defer(() => unlockFile(lock, held));
  const file = new LeaseFile(options);
  defer(() => file.close());
  return file;
}

function takeLock(lock: string): number | 'held' | 'foreign' | null {
  try {
    return lockFile(native(), lock);
  } catch {
    return null;
  }
}
