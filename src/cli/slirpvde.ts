// The command slirpvde: words in, a running router or a clear refusal out.

import { resolve } from 'node:path';
import { readCommandLine, workingDirectory } from './command-line.ts';
import type { ConfigSource } from './config-source.ts';
import type { CommandSpec } from './options.ts';
import type { ParsedCommand } from './parse.ts';
import type { ServiceLimits } from './run-service.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import type { StartSlirpvde } from './slirpvde-service.ts';

/**
 * Runs the command.
 *
 * @param words    command line without node and script
 * @param start    starts the service
 * @param options  `spec`: SLIRPVDE6 for the command of that name; `limits`: for tests, otherwise those of run-service.ts
 */
export async function main(
  words: readonly string[],
  start: StartSlirpvde,
  options: { readonly spec?: CommandSpec; readonly limits?: ServiceLimits } = {},
): Promise<void> {
  const { spec = SLIRPVDE, limits } = options;
  const configure = await readCommandLine(spec, words, (command) => configurator(spec, command));
  if (configure === null) return;
  const config = configure.first;
  const { classicBanner, stateLines } = await import('./slirpvde-banner.ts');
  const { runService } = await import('./run-service.ts');
  await runService(
    spec.name,
    config,
    (log) => start(config, log, configure),
    (service, log) => {
      process.stderr.write(`${classicBanner(spec.name, config, service.state).join('\n')}\n`);
      for (const line of stateLines(config, service.state)) log.info(line);
    },
    limits,
    async (service, log) => {
      const [read, ...lines] = await service.reload();
      log.info(`SIGHUP: ${read}`);
      for (const line of lines) log.info(line);
    },
  );
}

/** The configuration that the command line and the files that it names ask for, now and whenever they are read again. */
async function configurator(
  spec: CommandSpec,
  command: ParsedCommand,
): Promise<ConfigSource & { readonly first: SlirpvdeConfig }> {
  const { slirpvdeConfig } = await import('./slirpvde-config.ts');
  const { mergeCommands, readConfigFile } = await import('./config-file.ts');
  const { SLIRPVDE_PERSONALITY, SLIRPVDE6_PERSONALITY } = await import('./slirpvde-networks.ts');
  const personality = spec === SLIRPVDE ? SLIRPVDE_PERSONALITY : SLIRPVDE6_PERSONALITY;
  const cwd = workingDirectory();
  const file = fileOf(command, 'config', cwd);
  const radvFile = fileOf(command, 'radvFile', cwd);
  const configure = (words: ParsedCommand): SlirpvdeConfig => slirpvdeConfig(words, cwd, personality);
  const again = (): SlirpvdeConfig =>
    file === null
      ? configure(command)
      : readConfigFile(spec, file, (words) => configure(mergeCommands(command, words)));
  return { first: again(), again, files: [file, radvFile].filter((path) => path !== null) };
}

/** The absolute path of the file that an option names, or null. */
function fileOf(command: ParsedCommand, key: string, cwd: string): string | null {
  const value = command.values.get(key);
  return typeof value === 'string' ? resolve(cwd, value) : null;
}
