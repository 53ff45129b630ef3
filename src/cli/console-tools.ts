// What vdeterm, unixterm and unixcmd share: what a user is told when the far end of a console fails.

import { VdeError } from '../core/errors.ts';
import { printable } from './stdio.ts';

/** Tells on standard error why a command failed, and returns the exit status. What is no VdeError is a defect. */
export function fail(name: string, error: unknown, status: number): number {
  if (!(error instanceof VdeError)) throw error;
  process.stderr.write(`${name}: ${printable(error.message)}\n`);
  return status;
}

/** Ends the process when what was written to standard output has left: a pipe may be slower than we are. */
export function exitWhenWritten(status: number): void {
  process.exitCode = status;
  process.stdout.write('', () => process.exit());
}
