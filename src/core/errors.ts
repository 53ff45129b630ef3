// Mistakes of the caller: thrown at start-up or from a management call, never from the data path (STYLE.md 4).

/** Every error code of the project with the sentence that docs/reference/errors.md prints for it. */
export const ERROR_CODES = {
  ERR_VDE_NO_NATIVE:
    'The native addon is missing or cannot be loaded; what needs Unix datagram sockets or TAP cannot run.',
  ERR_VDE_NO_SWITCH: 'No switch listens at the given control directory.',
  ERR_VDE_SWITCH_REFUSED: 'A switch answered but did not give a port.',
  ERR_VDE_SWITCH_RUNNING: 'Another switch already listens at the control directory.',
  ERR_VDE_UNSAFE_DIRECTORY:
    'The control directory is not a real directory owned by the user, or others may write to it.',
  ERR_VDE_PATH_TOO_LONG: 'A socket path does not fit into the 107 bytes that Unix domain addresses hold.',
  ERR_VDE_BAD_ADDRESS: 'Text that should be an IP address, a network or a port is not.',
  ERR_VDE_BAD_OPTION: 'A command line option is unknown, ambiguous or has a bad value.',
  ERR_VDE_BAD_FORWARD: 'A port forward could not be parsed.',
  ERR_VDE_BAD_POLICY: 'An allow or deny rule could not be parsed, or the list of rules is full.',
  ERR_VDE_LISTEN: 'A forwarded host port could not be opened.',
  ERR_VDE_MANAGEMENT_SOCKET: 'The management socket is served by another process, or another file is in its place.',
  ERR_VDE_CONSOLE: 'A management console could not be reached, or did not answer as one.',
  ERR_VDE_PID_FILE: 'The pid file could not be written, or belongs to a process that is running.',
  ERR_VDE_TAP: 'A TAP interface could not be opened.',
  ERR_VDE_NAMESPACE: 'A namespace could not be entered, or a TAP interface not be set up there.',
  ERR_VDE_SYSTEM: 'A system call failed at start-up.',
} as const;

export type VdeErrorCode = keyof typeof ERROR_CODES;

/** A caller's mistake with a stable code. The text says what was tried, on what, why not, and what would help. */
export class VdeError extends Error {
  readonly code: VdeErrorCode;

  constructor(code: VdeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'VdeError';
    this.code = code;
  }
}
