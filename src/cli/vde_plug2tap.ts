// The command vde_plug2tap: words in, a cable between a switch and a TAP interface or a clear refusal out.

import { readCommandLine, workingDirectory } from './command-line.ts';
import { plug2tapConfig } from './plug-config.ts';
import { VDE_PLUG2TAP } from './vde_plug2tap-options.ts';

/** @param words  command line without node and script */
export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(VDE_PLUG2TAP, words, (parsed) => plug2tapConfig(parsed, workingDirectory()));
  if (config === null) return;
  const { runService } = await import('./run-service.ts');
  const { startCable } = await import('./plug-service.ts');
  await runService(
    VDE_PLUG2TAP.name,
    config,
    (log) => startCable({ ...config, observe: null }, log),
    () => {},
  );
}
