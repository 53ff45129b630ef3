// Users and groups by name, without libc: /etc/passwd and /etc/group are read as they are, so those that only a directory
// service knows must be given by number.

import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { VdeError } from '../core/errors.ts';

const NUMBER = /^\d{1,10}$/;

/** Lines of an account file as lists of fields; none when it cannot be read. */
function entries(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

/** The number that a name or number stands for; null when there is none of that name. */
function idOf(file: string, name: string): number | null {
  if (NUMBER.test(name)) return Number(name);
  const id = entries(file).find((fields) => fields[0] === name)?.[2] ?? '';
  return NUMBER.test(id) ? Number(id) : null;
}

/** Name of a number; `NONE` for -1, the number when the file does not know it. */
function nameOf(file: string, id: number): string {
  return id === -1 ? 'NONE' : (entries(file).find((fields) => fields[2] === String(id))?.[0] ?? String(id));
}

/** Number of a user or group given by name or number; null when there is none of that name. */
export const userIdOf = (name: string): number | null => idOf('/etc/passwd', name);
export const groupIdOf = (name: string): number | null => idOf('/etc/group', name);

/** Login name of a user number, name of a group number; `NONE` for -1, the number when it has none. */
export const nameOfUser = (uid: number): string => nameOf('/etc/passwd', uid);
export const nameOfGroup = (gid: number): string => nameOf('/etc/group', gid);

/** Number of a group given by name or number; throws ERR_VDE_BAD_OPTION when there is none of that name. */
export function groupId(group: string): number {
  const id = groupIdOf(group);
  if (id === null) throw new VdeError('ERR_VDE_BAD_OPTION', `vde: there is no group "${group}" in /etc/group`);
  return id;
}

/** Whether a user is a member of a group: by its own group, or listed as a member. */
export function isMember(uid: number, gid: number): boolean {
  const user = entries('/etc/passwd').find((fields) => fields[2] === String(uid));
  if (user === undefined) return false;
  if (user[3] === String(gid)) return true;
  const group = entries('/etc/group').find((fields) => fields[2] === String(gid));
  return group?.[3]?.split(',').includes(user[0]!) ?? false;
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
