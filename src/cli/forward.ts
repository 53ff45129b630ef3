// -L and -U: port forwards on the command line. The grammar is that of the console (mgmt/forward-text.ts).

import { VdeError } from '../core/errors.ts';
import { parseForwardText } from '../mgmt/forward-text.ts';
import type { ForwardRule } from '../router/index.ts';
import { UsageError } from './usage-error.ts';

export { formatForward, listensEverywhere } from '../mgmt/forward-text.ts';
export type Forward = ForwardRule;

/**
 * Parses one -L or -U value.
 *
 * @param option  the option as the user knows it, for the message: `-L`
 * @throws UsageError (ERR_VDE_BAD_FORWARD)
 */
export function parseForward(protocol: 'tcp' | 'udp', option: string, text: string): Forward {
  try {
    return parseForwardText(protocol, text);
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw new UsageError(
      `option '${option}': bad forward '${text}': ${error.message}`,
      `expected [ADDR:]PORT:GUEST[:GUESTPORT], for example ${option} 8022:10.0.2.15:22`,
      'ERR_VDE_BAD_FORWARD',
    );
  }
}
