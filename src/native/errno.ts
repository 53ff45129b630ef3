import { constants } from 'node:os';

const NAMES = new Map<number, string>();
// EAGAIN and EWOULDBLOCK are one number, as are ENOTSUP and EOPNOTSUPP: the first name stays.
for (const [name, number] of Object.entries(constants.errno)) if (!NAMES.has(number)) NAMES.set(number, name);
if (process.platform === 'linux') NAMES.set(77, 'EBADFD'); // Node does not name it

/** Name of a negative result of the native addon, such as `ECONNREFUSED` for -111; `errno 512` when it has none. */
export const errnoName = (negative: number): string => NAMES.get(-negative) ?? `errno ${-negative}`;

/** An Error like those of Node's own modules, with `code`, `errno` and `syscall`, of a negative result. */
export function systemError(negative: number, syscall: string, subject: string): NodeJS.ErrnoException {
  const code = errnoName(negative);
  return Object.assign(new Error(`${syscall} ${subject}: ${code}`), { code, errno: negative, syscall });
}
