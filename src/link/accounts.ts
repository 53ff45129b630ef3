// Users and groups by name, without libc: /etc/group is read as it is, so groups that only a directory service knows
// must be given by number.

import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { VdeError } from '../core/errors.ts';

/** Number of a group given by name or number; throws ERR_VDE_BAD_OPTION when there is none of that name. */
export function groupId(group: string): number {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((l) => l.startsWith(`${group}:`));
  const id = line?.split(':')[2] ?? '';
  if (!/^\d+$/.test(id)) throw new VdeError('ERR_VDE_BAD_OPTION', `vde: there is no group "${group}" in /etc/group`);
  return Number(id);
}

/** Login name of the user this process runs as; the number when it has no name. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid!());
  }
}

/** Effective user of this process. */
export const effectiveUid = (): number => process.geteuid!();

/** Login name of a user number; `NONE` for -1, the number when /etc/passwd does not know it. */
export function nameOfUser(uid: number): string {
  if (uid === -1) return 'NONE';
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
    return lines.find((line) => line.split(':')[2] === String(uid))?.split(':')[0] ?? String(uid);
  } catch {
    return String(uid);
  }
}
