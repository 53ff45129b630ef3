// Puts vde_autolink together: the console of the switch, processes for wires, and the console of its own.
//
// A wire is a session of its own, whose leader is a shell that does nothing but run the command: dpipe makes itself leader of
// a process group, which a leader of a session must not do. Whatever the wire has started is found by its session, and ends
// with it. What a wire prints goes to the log, line by line and bounded.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { VdeError } from '../core/errors.ts';
import { Autolinks, type RunningWire } from '../lab/autolink.ts';
import { AUTOLINK_EVENTS, autolinkCommands, runScript } from '../lab/autolink-commands.ts';
import { ConsoleSwitchControl } from '../lab/switch-control.ts';
import { SYSTEM_TIMERS } from '../link/index.ts';
import { ServedConsole } from '../mgmt/served-console.ts';
import type { Log } from './log.ts';
import type { Closable } from './run-service.ts';
import type { AutolinkConfig } from './vde_autolink.ts';
import { packageVersion } from './version.ts';

/** From SIGTERM to SIGKILL for a wire, milliseconds; below the time that a command has to end. */
const KILL_MS = 1000;
const MAX_LINE = 500;

/** Rejects with a VdeError, and leaves nothing behind then. */
export async function startAutolink(config: AutolinkConfig, log: Log): Promise<Closable> {
  const control = new ConsoleSwitchControl(config.switchmgmt);
  const wires = new Set<Wire>();
  let served: ServedConsole | null = null;
  const links = new Autolinks({
    sock: config.sock,
    control,
    timers: SYSTEM_TIMERS,
    checkMs: config.checkMs,
    retryMs: config.retryMs,
    slowMs: 2 * config.retryMs,
    run: (argv, ended) => {
      const wire: Wire = new Wire(argv, log, (why) => {
        wires.delete(wire);
        ended(why);
      });
      wires.add(wire);
      return wire;
    },
    log: (text) => log.info(text),
    changed: ({ name, way }, up) => {
      log.info(`${name}: ${up ? `up by ${way?.type} to ${way?.host}` : 'down'}`);
      served?.event(AUTOLINK_EVENTS[up ? 'link/+' : 'link/-'], name);
    },
  });
  const close = async (): Promise<void> => {
    await served?.close();
    await links.close();
    control.close();
    await Promise.all([...wires].map((wire) => wire.gone));
  };
  let shutdown = (): void => {};
  const ended = new Promise<null>((done) => {
    shutdown = () => done(null);
  });
  try {
    await control.connect();
    const entries = autolinkCommands(links, (path) => readFileSync(path, 'utf8'));
    if (config.console !== null) {
      served = await ServedConsole.open(config.console.path, config.console.mode, {
        banner: [`VDE autolink (vdenet) V.${packageVersion()}`, 'links between VDE switches - MIT licence'],
        prompt: 'VDEal',
        entries,
        events: Object.values(AUTOLINK_EVENTS),
        shutdown,
        report: (text) => log.limited('error', 'console', text),
      });
      const console = served;
      log.addSink((line) => console.event(AUTOLINK_EVENTS.log, line));
    }
    if (config.rcfile !== null)
      for (const line of await runScript(entries, readScript(config.rcfile))) log.warn(`${config.rcfile}: ${line}`);
  } catch (error) {
    await close();
    throw error;
  }
  return { ended, close };
}

function readScript(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new VdeError('ERR_VDE_SYSTEM', `cannot read ${path}: ${code}`, { cause: error });
  }
}

/** Runs its arguments as a child, and ends with their status. */
const LEADER = '"$@"; exit $?';

/** A wire's session. */
class Wire implements RunningWire {
  /** Fulfilled when the process has ended. */
  readonly gone: Promise<void>;
  private readonly child: ChildProcess;
  private stopping = false;
  private alive = true;

  constructor(argv: readonly string[], log: Log, ended: (why: string) => void) {
    const words = ['-c', LEADER, 'wire', ...argv];
    this.child = spawn('/bin/sh', words, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      const lines = createInterface({ input: stream });
      lines.on('line', (line) =>
        log.limited('info', `wire ${this.child.pid ?? 0}`, `wire: ${line.slice(0, MAX_LINE)}`),
      );
    }
    this.gone = new Promise((done) => {
      const end = (why: string): void => {
        if (!this.alive) return;
        this.alive = false;
        // The session may outlive its leader: a dpipe that was killed leaves its commands.
        this.signal('SIGTERM');
        done();
        ended(why);
      };
      this.child.once('error', (error: NodeJS.ErrnoException) => end(`no shell can be run: ${error.code}`));
      this.child.once('exit', (code, signal) =>
        end(signal === null ? `it ended with status ${code}` : `it ended by ${signal}`),
      );
    });
  }

  stop(): void {
    if (this.stopping || !this.alive) return;
    this.stopping = true;
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), KILL_MS);
    void this.gone.then(() => clearTimeout(timer));
  }

  private signal(signal: NodeJS.Signals): void {
    for (const pid of this.child.pid === undefined ? [] : membersOf(this.child.pid)) {
      try {
        process.kill(pid, signal);
      } catch {
        // it has ended meanwhile
      }
    }
  }
}

/** Processes of a session. */
function membersOf(session: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      // Behind the name of the program, which may hold anything: state, parent, group, session.
      const member = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === session;
      return member ? [Number(name)] : [];
    } catch {
      return []; // ended meanwhile
    }
  });
}
