// What every command that stays has in common: background, log, pid file, signals, and the order of all this.

import { VdeError } from '../core/errors.ts';
import { ReadyChannel, runInBackground } from './daemon.ts';
import { Lifecycle } from './lifecycle.ts';
import { type Log, type LogFile, Logger, openLogFile, stderrSink } from './log.ts';
import { createPidFile } from './pidfile.ts';
import { syslogSink } from './syslog.ts';
import { EXIT_DEFECT, EXIT_FAILURE, EXIT_OK } from './usage-error.ts';

/** The options of a command that concern the process, with absolute paths. */
export interface ProcessOptions {
  readonly daemon: boolean;
  readonly pidfile: string | null;
  readonly log: string | null;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Signals that end the process; default SIGTERM, SIGINT and SIGHUP. */
  readonly signals?: readonly NodeJS.Signals[];
}

export interface ServiceLimits {
  /** From the start of the background process until it is ready, milliseconds. */
  readonly readyMs: number;
  /** From the signal to the exit, milliseconds. */
  readonly shutdownMs: number;
}
export const DEFAULT_LIMITS: ServiceLimits = { readyMs: 10_000, shutdownMs: 2000 };

/** A service that has been started. */
export interface Closable {
  /** Fulfilled when there is nothing left to serve: null in order, an exit status, or why it has failed. */
  readonly ended: Promise<VdeError | number | null>;
  close(): Promise<void>;
}

/**
 * Runs a service until a signal ends it; exits the process.
 *
 * @param name      the command, for messages and to recognise its own pid files
 * @param start     starts the service; rejects with a VdeError when it cannot, and leaves nothing behind then
 * @param reload    on SIGHUP, after the log file was opened anew; without it SIGHUP ends the service
 * @param announce  prints the start-up text; called once, and not with `quiet`
 */
export async function runService<T extends Closable>(
  name: string,
  options: ProcessOptions,
  start: (log: Log) => Promise<T>,
  announce: (service: T, log: Log) => void,
  limits: ServiceLimits = DEFAULT_LIMITS,
  reload: ((service: T, log: Logger) => Promise<void>) | null = null,
): Promise<void> {
  const channel = options.daemon ? ReadyChannel.inherit() : null;
  if (options.daemon && channel === null) {
    process.exitCode = await runInBackground(name, limits.readyMs);
    return;
  }
  const log = new Logger({ name, quiet: options.quiet, verbose: options.verbose, sinks: [stderrSink] });
  const lifecycle = new Lifecycle(log, limits.shutdownMs);
  lifecycle.begin(options.signals);
  try {
    const logFile = prepare(name, options, log, lifecycle);
    const starting = start(log);
    lifecycle.defer(async () => {
      const service = await starting.catch(() => null);
      await service?.close();
    });
    const service = await starting;
    if (lifecycle.stopping) return;
    void service.ended.then((why) => {
      if (why instanceof VdeError) log.error(why.message);
      lifecycle.stop(why instanceof VdeError ? EXIT_FAILURE : (why ?? EXIT_OK));
    });
    if (reload !== null) lifecycle.onHangup = reloader(() => reload(service, log), log, logFile);
    if (!options.quiet) announce(service, log);
    if (channel !== null) {
      log.removeSink(stderrSink);
      if (logFile === null) log.addSink(syslogSink(name));
      if (!channel.ready()) lifecycle.stop(EXIT_FAILURE);
    }
  } catch (error) {
    const expected = error instanceof VdeError || (error as NodeJS.ErrnoException | null)?.syscall !== undefined;
    if (!(error instanceof Error)) log.error(`unexpected ${String(error)}`);
    else log.error(expected ? error.message : `unexpected ${error.stack ?? error.message}`);
    lifecycle.stop(expected ? EXIT_FAILURE : EXIT_DEFECT);
  }
}

/** What SIGHUP does: one reload after the other, whose failure changes nothing and is told. */
function reloader(reload: () => Promise<void>, log: Logger, logFile: LogFile | null): () => void {
  let last = Promise.resolve();
  const once = async (): Promise<void> => {
    try {
      logFile?.reopen();
      await reload();
    } catch (error) {
      if (!(error instanceof VdeError)) throw error;
      log.error(`SIGHUP: nothing was changed: ${error.message}`);
    }
  };
  return () => {
    last = last.then(once);
  };
}

/** Log file, pid file and working directory. */
function prepare(name: string, options: ProcessOptions, log: Logger, lifecycle: Lifecycle): LogFile | null {
  let logFile: LogFile | null = null;
  if (options.log !== null) {
    const file = openLogFile(options.log);
    log.addSink(file.sink);
    logFile = file;
    lifecycle.atExit(() => file.close());
  }
  if (options.pidfile !== null) {
    const file = createPidFile(options.pidfile, name);
    lifecycle.atExit(() => file.remove());
    if (file.replaced !== null) {
      log.warn(`pid file ${options.pidfile} named process ${file.replaced}, which is gone; taken over`);
    }
  }
  if (options.daemon) process.chdir('/');
  return logFile;
}
