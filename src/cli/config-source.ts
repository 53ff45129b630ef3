// Where the configuration of a running slirpvde comes from, and how it is read again.

import type { Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

export interface ConfigSource {
  /** Reads it again. Throws UsageError. */
  readonly again: () => SlirpvdeConfig;
  /** Files that are read for it, absolute paths. */
  readonly files: readonly string[];
}

/**
 * Reads the configuration again and has it applied. A log level that was set at the console stays unless the options for it
 * have changed.
 *
 * @param before  the configuration that was read last
 * @param change  applies another one, all of it or nothing; lines that say what came of it
 * @returns       lines for the log
 * @throws UsageError, and what `change` rejects with; nothing has changed then
 */
export async function readAgain(
  { files, again }: ConfigSource,
  log: Log,
  before: Pick<SlirpvdeConfig, 'quiet' | 'verbose'>,
  change: (wanted: SlirpvdeConfig) => Promise<string[]>,
): Promise<string[]> {
  const wanted = again();
  const lines = await change(wanted);
  if (wanted.quiet !== before.quiet || wanted.verbose !== before.verbose) log.setLevel(wanted);
  const read =
    files.length === 0
      ? 'resolv.conf is read again; without --config there is nothing else to read'
      : `resolv.conf and ${files.join(' and ')} read again${lines.length === 0 ? ': nothing changed' : ''}`;
  return [read, ...lines];
}
