// What a console command answers: lines of data, and a status.

import { VdeError } from '../core/errors.ts';

/** Errno numbers (Linux) and texts of the statuses that commands give; `1EEE TEXT` on the wire. */
const STATUS = {
  OK: [0, 'Success'],
  ENOENT: [2, 'No such file or directory'],
  EIO: [5, 'Input/output error'],
  ENXIO: [6, 'No such device or address'],
  EACCES: [13, 'Permission denied'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  EISDIR: [21, 'Is a directory'],
  EINVAL: [22, 'Invalid argument'],
  EFBIG: [27, 'File too large'],
  ENOSPC: [28, 'No space left on device'],
  ENOSYS: [38, 'Function not implemented'],
  ELOOP: [40, 'Too many levels of symbolic links'],
  EMSGSIZE: [90, 'Message too long'],
  EADDRINUSE: [98, 'Address already in use'],
  EADDRNOTAVAIL: [99, 'Cannot assign requested address'],
} as const;
export type StatusName = keyof typeof STATUS;

export interface Reply {
  readonly status: StatusName;
  /** Behind the text of the status: what exactly is wrong. */
  readonly detail: string;
  /** Lines of the data block; null when the command has none. */
  readonly data: readonly string[] | null;
}

export const SUCCESS: Reply = { status: 'OK', detail: '', data: null };

/** Success with a data block. */
export const data = (lines: readonly string[]): Reply => ({ status: 'OK', detail: '', data: lines });

/** A failure, with one line that says why where the status alone does not. */
export const failure = (status: StatusName, detail = ''): Reply => ({ status, detail, data: null });

/** What a command that threw answers: the system's error where one is behind it, else `fallback`. */
export function failureOf(error: unknown, fallback: StatusName): Reply {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof VdeError ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? /\b(E[A-Z]{3,})\b/.exec(message)?.[1];
  return failure(code !== undefined && code in STATUS ? (code as StatusName) : fallback, message);
}

/** `1000 Success`, `1022 Invalid argument`, `1022 Invalid argument: the reason`. */
export function statusLine(reply: Reply): string {
  const [number, text] = STATUS[reply.status];
  return `1${String(number).padStart(3, '0')} ${text}${reply.detail === '' ? '' : `: ${reply.detail}`}`;
}
