// The command slirpvde: words in, a running router or a clear refusal out.
//
// Only what is needed is loaded: --help and --version touch neither commander nor the router.

import { resolve } from 'node:path';
import { normaliseArgv } from './argv.ts';
import type { OptionSpec } from './options.ts';
import type { ParsedCommand } from './parse.ts';
import type { ServiceLimits } from './run-service.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import type { StartSlirpvde } from './slirpvde-service.ts';
import { guardStdio, printable } from './stdio.ts';
import { EXIT_USAGE, UsageError } from './usage-error.ts';

/**
 * Runs the command.
 *
 * @param words   command line without node and script
 * @param start   starts the service
 * @param limits  for tests; otherwise those of run-service.ts
 */
export async function main(words: readonly string[], start: StartSlirpvde, limits?: ServiceLimits): Promise<void> {
  guardStdio();
  let configure: () => SlirpvdeConfig;
  let config: SlirpvdeConfig;
  try {
    const { argv, immediate } = normaliseArgv(SLIRPVDE, words);
    if (immediate !== null) {
      process.stdout.write(await immediateText(immediate));
      return;
    }
    const { parseNormalArgv } = await import('./parse.ts');
    const { slirpvdeConfig } = await import('./slirpvde-config.ts');
    const { mergeCommands, readConfigFile } = await import('./config-file.ts');
    const command = parseNormalArgv(SLIRPVDE, argv);
    const cwd = workingDirectory();
    const file = configFile(command, cwd);
    configure = () =>
      slirpvdeConfig(file === null ? command : mergeCommands(command, readConfigFile(SLIRPVDE, file)), cwd);
    config = configure();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const hint = error.hint === '' ? `try '${SLIRPVDE.name} --help'` : error.hint;
    process.stderr.write(`${SLIRPVDE.name}: ${printable(error.message)}\n${printable(hint)}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const { classicBanner, stateLines } = await import('./slirpvde-banner.ts');
  const { runService } = await import('./run-service.ts');
  await runService(
    SLIRPVDE.name,
    config,
    (log) => start(config, log),
    (service, log) => {
      process.stderr.write(`${classicBanner(config, service.state).join('\n')}\n`);
      for (const line of stateLines(config, service.state)) log.info(line);
    },
    limits,
    async (service, log) => {
      if (config.config === null) {
        await service.reload(null);
        log.info('SIGHUP: resolv.conf is read again; without --config there is nothing else to read');
        return;
      }
      const next = configure();
      const lines = await service.reload(next);
      // A level that was set at the console stays unless the options for it have changed.
      if (next.quiet !== config.quiet || next.verbose !== config.verbose) log.setLevel(next);
      config = next;
      log.info(`SIGHUP: resolv.conf and ${config.config} read again${lines.length === 0 ? ': nothing changed' : ''}`);
      for (const line of lines) log.info(line);
    },
  );
}

/** The absolute path of the configuration file, or null. */
function configFile(command: ParsedCommand, cwd: string): string | null {
  const value = command.values.get('config');
  return typeof value === 'string' ? resolve(cwd, value) : null;
}

async function immediateText(option: OptionSpec): Promise<string> {
  if (option.key === 'version') {
    const { packageVersion } = await import('./version.ts');
    return `${SLIRPVDE.name} (vdenet) ${packageVersion()}\n`;
  }
  const { renderHelp } = await import('./help.ts');
  return renderHelp(SLIRPVDE);
}

/** The working directory; when it has been deleted only absolute paths make sense, and `/` serves. */
function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}
