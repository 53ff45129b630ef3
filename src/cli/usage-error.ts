// The user's mistake on the command line: one sentence, one hint, exit status 2.

import { VdeError, type VdeErrorCode } from '../core/errors.ts';

/** Exit statuses of the commands; docs and man pages print the same table (`exitStatus` in the option tables). */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** A defect of ours: an exception that nobody caught (EX_SOFTWARE of sysexits). */
export const EXIT_DEFECT = 70;

/** Thrown for command lines that make no sense. The message does not name the command: main puts it in front. */
export class UsageError extends VdeError {
  /** What would help, one line; empty: the caller points to --help. */
  readonly hint: string;

  constructor(message: string, hint = '', code: VdeErrorCode = 'ERR_VDE_BAD_OPTION') {
    super(code, message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}
