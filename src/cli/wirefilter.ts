// The command wirefilter: words in, a cable or a clear refusal out.

import { readCommandLine, workingDirectory } from './command-line.ts';
import { WIREFILTER } from './wirefilter-options.ts';

/** Runs the command; `words` are the command line without node and script. */
export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(WIREFILTER, words, async (command) => {
    const { wirefilterConfig } = await import('./wirefilter-config.ts');
    return wirefilterConfig(command, workingDirectory());
  });
  if (config === null) return;
  const { runService } = await import('./run-service.ts');
  const { startWirefilter } = await import('./wirefilter-run.ts');
  await runService(
    WIREFILTER.name,
    config,
    (log) => startWirefilter(config, log),
    (service, log) => {
      log.info(service.title);
      log.debug(`seed ${service.seed}`);
    },
  );
}
