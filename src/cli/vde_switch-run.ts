// Puts a switch together: control directory, TAP interfaces, console. Everything that can fail does so before the promise
// is fulfilled, and takes back what was done.
//
// The order matters. The control directory comes first: its lock keeps a second switch from touching anything (a script
// may start captures, say). Clients may connect from then on, and wait until the script of --rcfile has made its ports.

import { SystemClock } from '../core/clock.ts';
import type { VdeError } from '../core/errors.ts';
import { FrameMemory } from '../core/frame.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
import { openFilesLimit } from '../host/limits.ts';
import { groupId, isMember, TapLink, VdeServer } from '../link/index.ts';
import { limitStorm, setBpduGuard, setGuard } from '../mgmt/guard-commands.ts';
import { runScript } from '../mgmt/script.ts';
import { SwitchConsole } from '../mgmt/switch-console.ts';
import { inBackground, Terminal } from '../mgmt/terminal.ts';
import { native } from '../native/native.ts';
import { portAllocator, STORM_KINDS, Switch } from '../switch/index.ts';
import type { Log } from './log.ts';
import type { Closable } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import type { VdeSwitchConfig } from './vde_switch-config.ts';

/** The classic switch's ageing, which scripts and tests of networks expect: seconds. */
const AGE_SEC = 100;
const SWEEP_SEC = 2;
const MIN_PERSISTENCE_SEC = 3;

/** Descriptors that are not for endpoints: console clients, files, and clients that have no port yet. */
const OTHER_FILES = 128;

type Closer = () => void | Promise<void>;

/** What a switch takes over of the process that it runs in. */
export interface SwitchSurroundings {
  /** Directory that file names in console commands start from. */
  readonly cwd: string;
  /** Sends this process a signal: Ctrl-C was typed where a line is edited. */
  readonly interrupt: () => void;
}

/** Starts the switch; rejects with a VdeError and leaves nothing behind when it cannot. */
export async function startVdeSwitch(
  config: VdeSwitchConfig,
  log: Log,
  surroundings: SwitchSurroundings,
): Promise<Closable> {
  const closers: Closer[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const { ended } = await start(config, log, surroundings, closers);
    return { ended, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  config: VdeSwitchConfig,
  log: Log,
  { cwd, interrupt }: SwitchSurroundings,
  closers: Closer[],
): Promise<{ readonly ended: Promise<VdeError | null> }> {
  const memory = new FrameMemory();
  const wheel = new TimerWheel(new SystemClock());
  const sw = makeSwitch(config, wheel, memory);
  let end = (_why: VdeError | null): void => {};
  const ended = new Promise<VdeError | null>((done) => {
    end = done;
  });
  const allocate = portAllocator(sw, isMember);
  const server = await VdeServer.listen({
    path: config.socket,
    memory,
    mtu: config.mtu,
    held: true,
    // Each has two descriptors, and none must be missing when somebody comes.
    maxEndpoints: Math.max(1, Math.floor((openFilesLimit() - OTHER_FILES) / 2)),
    allocate: (endpoint) => {
      const port = allocate(endpoint);
      if (typeof port === 'number') limitPort(sw, config, port);
      return port;
    },
    report: (text) => log.limited('warn', 'control', text),
    ...(config.group === null ? {} : { gid: groupId(config.group) }),
    ...(config.mode === null ? {} : { mode: config.mode }),
    ...(config.dirMode === null ? {} : { dirMode: config.dirMode }),
  });
  closers.push(() => server.close());
  for (const name of config.taps) closers.push(plugTap(sw, config, memory, name, log));
  const { mgmt } = config;
  const console = new SwitchConsole({
    sw,
    clock: wheel.clock,
    controlDir: server.path,
    controlMode: server.socketMode,
    mgmt:
      mgmt === null ? null : { path: mgmt.path, mode: mgmt.mode, gid: mgmt.group === null ? -1 : groupId(mgmt.group) },
    cwd,
    shutdown: () => {
      log.info('Shutdown from mgmt command');
      end(null);
    },
    report: (text) => log.limited('error', 'console', text),
    moved: (text) => log.limited('warn', 'moved', text),
  });
  closers.push(() => console.close());
  if (config.rcFile !== null && !(await runScript(console.console, config.rcFile, (text) => log.warn(text))))
    throw new UsageError(`cannot read the commands of --rcfile ${config.rcFile}`);
  await console.listen();
  server.serve();
  if (config.stdin && !(process.stdin.isTTY && inBackground())) {
    const terminal = new Terminal(console.console, {
      input: process.stdin,
      output: process.stdout,
      interactive: process.stdin.isTTY === true && process.stdout.isTTY === true,
      ended: () => end(null),
      interrupted: interrupt,
    });
    closers.push(() => terminal.close());
  }
  return { ended };
}

function makeSwitch(config: VdeSwitchConfig, wheel: TimerWheel, memory: FrameMemory): Switch {
  const sw = new Switch({
    wheel,
    memory,
    forwarder: native().newForwarder,
    numPorts: config.numPorts,
    priority: config.priority,
    ...(config.mac === null ? {} : { mac: config.mac }),
    fdb: {
      hashSize: config.hashSize,
      maxEntries: config.macTable,
      portShare: config.macShare,
      ageSec: AGE_SEC,
      gcIntervalSec: SWEEP_SEC,
      minPersistenceSec: MIN_PERSISTENCE_SEC,
    },
  });
  if (config.hub) sw.setHub(true);
  if (config.tree !== 'off') sw.setTree(config.tree);
  if (config.transparent) sw.admin.setTransparent(-1, true);
  setGuard(sw, config.guard);
  setBpduGuard(sw, config.bpduGuard);
  return sw;
}

/** Gives a port that was just taken the limits of --storm, unless it has its own. */
function limitPort(sw: Switch, { storm }: VdeSwitchConfig, port: number): void {
  if (storm !== null && !sw.storm.limits(port)) limitStorm(sw, port, STORM_KINDS, storm.rate, storm.burst);
}

/** Connects an interface of the host; what disconnects it. */
function plugTap(sw: Switch, config: VdeSwitchConfig, memory: FrameMemory, name: string, log: Log): Closer {
  const link = new TapLink({ name, memory, mtu: config.mtu });
  const endpoint = sw.plug(link, { description: name });
  if (typeof endpoint === 'string') {
    void link.close();
    throw new UsageError(`no port for --tap ${name}: ${endpoint}`, 'ask for more by --numports');
  }
  limitPort(sw, config, endpoint.port.number);
  link.onState = (up) => {
    if (up) return;
    sw.unplug(endpoint);
    log.warn(`the interface ${name} is gone`);
  };
  return async () => {
    link.onState = null;
    sw.unplug(endpoint);
    await link.close();
  };
}
