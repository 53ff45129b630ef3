// How many descriptors this process may open.

import { readdirSync, readFileSync } from 'node:fs';

/** What Linux gives a process when nobody set anything else. */
const USUAL_NOFILE = 1024;

/** The limit on open files in force (Node raises the soft limit to the hard one at start). */
export function openFilesLimit(): number {
  try {
    const line = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line === null ? USUAL_NOFILE : line[1] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(line[1]);
  } catch {
    return USUAL_NOFILE;
  }
}

/** How many descriptors are open now; -1 where the system does not tell. */
export function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length - 1; // without the one that reads the directory
  } catch {
    return -1;
  }
}
