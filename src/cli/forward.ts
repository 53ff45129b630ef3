// -L and -U: port forwards on the command line. The grammar is that of the console (mgmt/forward-text.ts).

import { VdeError } from '../core/errors.ts';
import { addressOf, parseForwardText } from '../mgmt/forward-text.ts';
import type { ForwardRule } from '../router/index.ts';
import { UsageError } from './usage-error.ts';

export { formatForward, listensEverywhere } from '../mgmt/forward-text.ts';
export type Forward = ForwardRule;

/**
 * Parses one -L or -U value.
 *
 * @param option  the option as the user knows it, for the message: `-L`
 * @param bind    where it listens when it does not say (--forward-bind), as in a forward
 * @throws UsageError (ERR_VDE_BAD_FORWARD)
 */
export function parseForward(protocol: 'tcp' | 'udp', option: string, text: string, bind = '0.0.0.0'): Forward {
  try {
    return parseForwardText(protocol, text, bind);
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw new UsageError(
      `option '${option}': bad forward '${text}': ${error.message}`,
      `expected [ADDR:]PORT:GUEST[:GUESTPORT], for example ${option} 8022:10.0.2.15:22`,
      'ERR_VDE_BAD_FORWARD',
    );
  }
}

/**
 * Reads --forward-bind: an address of this host, as it stands in a forward.
 *
 * @throws UsageError  when it is none
 */
export function forwardBind(text: string | null): string {
  if (text === null) return '0.0.0.0';
  const inBrackets = text.includes(':') && !text.startsWith('[') ? `[${text}]` : text;
  if (addressOf(inBrackets) !== null) return inBrackets;
  throw new UsageError(`option '--forward-bind': '${text}' is not an IP address`, 'for example 127.0.0.1');
}
