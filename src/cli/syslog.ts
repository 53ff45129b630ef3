// Messages to the system's log: RFC 3164 datagrams to /dev/log, as syslog(3) writes them. A system without one, or whose
// log is full, loses them, as with syslog(3).

import { errnoName } from '../native/errno.ts';
import { AF_UNIX, native, nativeProblem, SOCK_DGRAM } from '../native/native.ts';
import type { LogLevel, LogSink } from './log.ts';
import { printable } from './stdio.ts';

const SOCKET = '/dev/log';
const FACILITY_DAEMON = 3;
const SEVERITY = { error: 3, warn: 4, notice: 5, info: 6, debug: 7 } as const satisfies Record<
  LogLevel | 'notice',
  number
>;
const MAX_BYTES = 1024; // RFC 3164 section 4.1

/**
 * Sends one message.
 *
 * @param socket  for tests
 */
export function syslog(name: string, severity: keyof typeof SEVERITY, text: string, socket = SOCKET): void {
  if (nativeProblem() !== null) return;
  const api = native();
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return;
  try {
    if (errnoOf(api.connectUnix(fd, socket)) !== '') return;
    const line = `<${FACILITY_DAEMON * 8 + SEVERITY[severity]}>${timestamp(new Date())} ${name}[${process.pid}]: ${printable(text)}`;
    const bytes = Uint8Array.from(Buffer.from(line).subarray(0, MAX_BYTES));
    const batch = api.newBatch(bytes, 1);
    batch.lens[0] = bytes.length;
    api.send(fd, batch, 0, 1);
  } finally {
    api.close(fd);
  }
}

/** Where the lines of a background process go that has no log file; their name is left to syslog, which has its own. */
export const syslogSink =
  (name: string): LogSink =>
  (line, level) =>
    syslog(name, level, line.startsWith(`${name}: `) ? line.slice(name.length + 2) : line);

const errnoOf = (status: number): string => (status < 0 ? errnoName(status) : '');

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Nov  2 05:04:03`, local time. */
export function timestamp(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)} ${time}`;
}
