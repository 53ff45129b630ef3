// Runs the commands of dpipe: all of them started with pipes between them, signals passed on, every one collected.
//
// The kernel's pipes join the commands directly; nothing of what they say passes through this process. Each end belongs to
// one command only, so that everybody hears of the end of everybody. Without the native addon the sockets that Node makes
// for children serve: the end that would be ours is given to the other command.
//
// A command that has ended is left to be noticed by its neighbours, who read an end or can write no more; some have work
// to do then, and are waited for. But when one was ended by a signal, or could not be started, the others get SIGTERM
// after a while, and SIGKILL after another, so that a chain that has broken does not stay half.

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { VdeError } from '../core/errors.ts';
import { errnoName } from '../native/errno.ts';
import { native, nativeProblem } from '../native/native.ts';
import { ALTERNATE_STDIN, ALTERNATE_STDOUT, type Chain, type DpipeCommand } from './dpipe-chain.ts';

/** From the violent end of a command to SIGTERM for the others, and from any SIGTERM to SIGKILL. */
const GRACE_MS = 2000;
const KILL_MS = 2000;
const EXIT_NOT_RUN = 126;
const EXIT_NOT_FOUND = 127;

/** An end of a pipe that a command is to get, and how to be rid of it here. */
interface End {
  readonly stdio: number | 'pipe' | Duplex;
  release(): void;
}

export class Commands {
  /** Fulfilled when all have ended: the exit status. */
  readonly ended: Promise<number>;
  private readonly children: ChildProcess[] = [];
  private timer: NodeJS.Timeout | undefined;
  private status = 0;
  private stopping = false;
  /** The status when a command could not be started; 0: all were. */
  private failure = 0;
  private readonly say: (text: string) => void;

  /**
   * Starts all commands.
   *
   * @param stderr  where their standard error goes
   * @param say     hears in one line what went wrong
   * @throws VdeError  ERR_VDE_SYSTEM when no pipe can be made
   */
  constructor(chain: Chain, stderr: 'inherit' | 'ignore', say: (text: string) => void) {
    this.say = say;
    const ends = endsOf(chain);
    const exits: Promise<void>[] = [];
    // In one turn of the event loop: were it to run in between, it would read from the ends that Node has made.
    try {
      chain.commands.forEach((command, i) => {
        const own = ends.flatMap((edge) => edge.filter((end) => end.command === i));
        const stdio: (number | 'pipe' | 'inherit' | 'ignore' | Duplex)[] = ['ignore', 'ignore', stderr];
        for (const { fd, end } of own) stdio[fd] = end.stdio;
        const child = spawn(command.argv[0]!, command.argv.slice(1), {
          stdio: stdio as StdioOptions,
          env: environment(command),
        });
        for (const { end, give, fd } of own) {
          end.release();
          give(child.stdio[fd] as Duplex | null);
        }
        this.children.push(child);
        exits.push(this.watch(child, command.argv[0]!, i === chain.commands.length - 1));
      });
    } finally {
      for (const edge of ends) for (const { end } of edge) end.release();
    }
    this.ended = Promise.all(exits).then(() => {
      clearTimeout(this.timer);
      return this.failure || this.status;
    });
  }

  /** False when one could not be started, which ends the others. */
  get started(): boolean {
    return this.children.every((child) => child.pid !== undefined);
  }

  /** Pid of the last command; 0 when it was not started. */
  get lastPid(): number {
    return this.children.at(-1)?.pid ?? 0;
  }

  /** Passes a signal on; what has not ended by it in time is killed. */
  stop(signal: NodeJS.Signals): void {
    this.stopping = true;
    this.signal(signal);
    this.killLater();
  }

  private watch(child: ChildProcess, program: string, last: boolean): Promise<void> {
    return new Promise((done) => {
      child.on('error', (error: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return; // of kill
        const missing = error.code === 'ENOENT';
        const why = missing ? 'there is no such program' : (error.code ?? error.message);
        this.failure ||= missing ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
        this.say(`cannot start ${program}: ${why}`);
        this.signal('SIGTERM');
        this.killLater();
        done();
      });
      child.on('exit', (code, signal) => {
        if (last) this.status = signal === null ? code! : 128 + constants.signals[signal];
        if (signal !== null && !this.stopping && this.failure === 0) this.broken(program, signal);
        done();
      });
    });
  }

  private broken(program: string, signal: NodeJS.Signals): void {
    this.say(`${program} was ended by ${signal}`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.stop('SIGTERM'), GRACE_MS);
  }

  private killLater(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.signal('SIGKILL'), KILL_MS);
  }

  private signal(signal: NodeJS.Signals): void {
    for (const child of this.children)
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) child.kill(signal);
  }
}

interface EdgeEnd {
  readonly command: number;
  readonly fd: number;
  readonly end: End;
  /** Takes the parent's side of what Node has made for a child. */
  give(parent: Duplex | null): void;
}

/** For each pipe its two ends. */
function endsOf(chain: Chain): EdgeEnd[][] {
  const kernel = nativeProblem() === null;
  const made: EdgeEnd[][] = [];
  try {
    for (const { from, output, to, input } of chain.edges)
      made.push((kernel ? kernelPipe : nodePipe)({ command: from, fd: output }, { command: to, fd: input }));
  } catch (error) {
    for (const edge of made) for (const { end } of edge) end.release();
    throw error;
  }
  return made;
}

type Place = Pick<EdgeEnd, 'command' | 'fd'>;

function kernelPipe(writer: Place, reader: Place): EdgeEnd[] {
  const ends = new Int32Array(2);
  const status = native().pipe(ends);
  if (status < 0) throw new VdeError('ERR_VDE_SYSTEM', `cannot make a pipe: ${errnoName(status)}`);
  const end = (fd: number): End => {
    let open = true;
    return {
      stdio: fd,
      release: () => {
        if (open) closeSync(fd);
        open = false;
      },
    };
  };
  return [
    { ...reader, end: end(ends[0]!), give: () => {} },
    { ...writer, end: end(ends[1]!), give: () => {} },
  ];
}

/** The command that is started first has a socket made for it, whose other side the second one gets. */
function nodePipe(one: Place, two: Place): EdgeEnd[] {
  const [first, second] = one.command < two.command ? [one, two] : [two, one];
  let parent: Duplex | null = null;
  return [
    {
      ...first,
      end: { stdio: 'pipe', release: () => {} },
      give: (side) => {
        parent = side;
      },
    },
    {
      ...second,
      end: {
        get stdio() {
          return parent ?? 'pipe';
        },
        release: () => parent?.destroy(),
      },
      give: () => {},
    },
  ];
}

function environment(command: DpipeCommand): NodeJS.ProcessEnv {
  const env = { ...process.env };
  // Those of a dpipe around this one mean nothing here.
  delete env['ALTERNATE_STDIN'];
  delete env['ALTERNATE_STDOUT'];
  if (!command.alternate) return env;
  return { ...env, ALTERNATE_STDIN: String(ALTERNATE_STDIN), ALTERNATE_STDOUT: String(ALTERNATE_STDOUT) };
}
