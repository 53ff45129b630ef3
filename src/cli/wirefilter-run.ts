// Puts wirefilter together: two links, the cable between them, its console on a socket and on standard input.
//
//   -v A:B                 VdeClient A ---- Impair ---- VdeClient B
//   dpipe X = wirefilter = Y       stdin/stdout ---- Impair ---- ALTERNATE_STDIN/ALTERNATE_STDOUT
//   X | wirefilter | Y             stdin -- Impair --> stdout

import { fstatSync } from 'node:fs';
import { SystemClock } from '../core/clock.ts';
import { VdeError } from '../core/errors.ts';
import { FrameMemory } from '../core/frame.ts';
import { Blink } from '../link/blink.ts';
import { Impair } from '../link/impair.ts';
import { ImpairModel, LR, RL } from '../link/impair-model.ts';
import { LocalSocket, PLUG_MTU, plugStream } from '../link/index.ts';
import { PipePlug } from '../link/pipe-plug.ts';
import { answerText, Console, type ConsoleSession } from '../mgmt/console.ts';
import { BANNER, MARKOV, PROMPT, WirefilterCommands } from '../mgmt/wirefilter-console.ts';
import { type CableEnd, openEnd, streamEnd } from './cable-end.ts';
import { LineConsole } from './line-console.ts';
import type { Log } from './log.ts';
import type { Closable } from './run-service.ts';
import type { WirefilterConfig } from './wirefilter-config.ts';

/** As Debian's wirefilter tells the switch. */
const DESCRIPTION = 'vde_crosscable';

export interface WirefilterService extends Closable {
  /** What the cable joins, for the start-up line. */
  readonly title: string;
  readonly seed: number;
}

/** Starts the cable. Rejects with a VdeError and leaves nothing behind when it cannot. */
export async function startWirefilter(config: WirefilterConfig, log: Log): Promise<WirefilterService> {
  const closers: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    return { ...(await start(config, log, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  config: WirefilterConfig,
  log: Log,
  closers: (() => void | Promise<void>)[],
): Promise<Omit<WirefilterService, 'close'>> {
  const seed = config.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const model = new ImpairModel();
  model.fifo = config.fifo;
  for (const { parameter, direction, value } of config.settings) model.set(0, direction, parameter, value);

  const sides = await open(config, log, closers);
  const blink = config.blink === null ? null : new Blink(config.blink.path, config.blink.id, sides.right === null);
  if (blink !== null) closers.push(() => blink.close());
  let served: Console | null = null;
  let typed: LineConsole | null = null;
  const impair = new Impair({
    model,
    clock: new SystemClock(true), // nothing else may be waited for while it brakes
    seed,
    ...(blink === null ? {} : { delivered: (direction, len) => blink.frame(direction, len) }),
    stepped: (from, to) => {
      const line = commands.stepLine(from, to);
      served?.tell(MARKOV.path, line);
      typed?.tell(MARKOV.path, line);
    },
  });
  closers.push(() => impair.close());
  let shutdown = (): void => {};
  const ordered = new Promise<null>((done) => {
    shutdown = () => done(null);
  });
  const commands = new WirefilterCommands({
    impair,
    seed,
    oneWay: sides.right === null,
    blink: config.blink,
    shutdown,
    ignored: (line) => log.limited('warn', 'ignored', `"${line}" was ignored: that is no value`),
  });
  if (config.rcfile !== null) runRcFile(commands, config.rcfile, log);
  impair.connect(LR, sides.left.link, (sides.right ?? sides.left).link);
  if (sides.right !== null) impair.connect(RL, sides.right.link, sides.left.link);

  if (config.mgmt !== null) {
    const socket = await LocalSocket.open(config.mgmt);
    closers.push(() => socket.release());
    const console = new Console({
      banner: BANNER,
      prompt: PROMPT,
      entries: [],
      events: [MARKOV],
      dialect: (line, session) => commands.execute(line, session),
      shutdown,
      report: (text) => log.limited('error', 'console', text),
    });
    await console.listen(socket.fd);
    closers.push(() => console.close());
    served = console;
  }
  if (config.console && isConsole(0)) {
    const execute = (line: string, session: ConsoleSession): string | null => {
      const reply = commands.execute(line, session);
      return reply === null ? null : answerText(reply);
    };
    const own = new LineConsole(BANNER, PROMPT, execute, shutdown);
    closers.push(() => own.close());
    typed = own;
  }
  const ended = Promise.race([ordered, sides.left.ended, ...(sides.right === null ? [] : [sides.right.ended])]);
  return { ended, title: sides.title, seed };
}

interface Sides {
  readonly left: CableEnd;
  /** Null: frames go from standard input to standard output only. */
  readonly right: CableEnd | null;
  readonly title: string;
}

async function open({ ends }: WirefilterConfig, log: Log, closers: (() => void | Promise<void>)[]): Promise<Sides> {
  const keep = (end: CableEnd): CableEnd => {
    closers.push(() => end.link.close());
    return end;
  };
  const memory = new FrameMemory();
  if (ends !== null) {
    const options = { memory, description: DESCRIPTION };
    const left = keep(await openEnd(ends[0], options, log));
    const right = keep(await openEnd(ends[1], options, log));
    return { left, right, title: `bidirectional vdeplug filter L=${ends[0]} R=${ends[1]} starting...` };
  }
  const left = keep(streamEnd(plugStream({ mtu: PLUG_MTU, memory }), 'standard input'));
  const [input, output] = [alternate('ALTERNATE_STDIN'), alternate('ALTERNATE_STDOUT')];
  if (input === null || output === null) return { left, right: null, title: 'monodirectional filter starting...' };
  const second = new PipePlug({ name: 'alternate', mtu: PLUG_MTU, memory, input, output });
  const right = keep(streamEnd(second, 'the right side'));
  return { left, right, title: 'bidirectional filter starting...' };
}

/** The descriptor that dpipe names in the environment, or null when there is none. */
function alternate(name: string): number | null {
  const text = process.env[name];
  if (text === undefined) return null;
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  try {
    const found = fstatSync(fd);
    if (found.isFIFO() || found.isSocket()) return fd;
  } catch {
    // not open: told below
  }
  throw new VdeError('ERR_VDE_SYSTEM', `${name}=${text}: it is not a pipe; it is set by dpipe`);
}

/** Whether a console makes sense there: not on /dev/null, nor where nothing is open. */
function isConsole(fd: number): boolean {
  try {
    const found = fstatSync(fd);
    return !found.isCharacterDevice() || process.stdin.isTTY;
  } catch {
    return false;
  }
}

function runRcFile(commands: WirefilterCommands, path: string, log: Log): void {
  const session: ConsoleSession = { follows: new Set(), print: () => {}, end: () => {} };
  const failed = (line: string, status: string): void => log.warn(`${path}: rc command error: ${line}: ${status}`);
  if (!commands.runFile(path, session, failed))
    throw new VdeError('ERR_VDE_SYSTEM', `cannot read ${path}: no such file, or not a plain one of less than 1 MiB`);
}
