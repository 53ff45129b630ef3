// `vdenet run` starts a command in namespaces of its own, and the router for it.
//
//   unshare(1) makes the namespaces; in them a shell of a few words names its end of a socket pair ("ready"), waits for
//   the interface, and then becomes COMMAND. So nothing of COMMAND runs before its network is there.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { formatIpv6 } from '../core/ipv6-network.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import type { Log } from './log.ts';
import type { ParsedCommand } from './parse.ts';
import type { Closable } from './run-service.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import type { SlirpvdeService, StartSlirpvde } from './slirpvde-service.ts';
import { UsageError } from './usage-error.ts';
import { VDENET_RUN } from './vdenet-run-options.ts';

const DEFAULT_MTU = '65520';
/** Time for the namespaces, and for COMMAND to end after SIGTERM, milliseconds. */
const NAMESPACE_MS = 10_000;
const END_MS = 1500;
const EXIT_SIGNAL = 128;
/** What is sent to vdenet and meant for COMMAND. */
const PASSED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** Those that a terminal sends to COMMAND itself. */
const OF_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
/** Descriptor of the shell on which it says that it is there, and hears that it may go on. */
const CHANNEL = 3;
const SCRIPT = [
  'mount --bind "$1" /etc/resolv.conf 2>/dev/null',
  'shift',
  // COMMAND does not outlive a vdenet that is killed.
  'if setpriv --pdeathsig KILL true 2>/dev/null; then set -- setpriv --pdeathsig KILL -- "$@"; fi',
  `echo >&${CHANNEL}`,
  `read -r _ <&${CHANNEL} || exit 1`,
  `exec "$@" ${CHANNEL}>&-`,
].join('\n');

interface Run {
  readonly config: SlirpvdeConfig;
  readonly argv: readonly string[];
}

/** @param words  command line behind `vdenet run` */
export async function run(words: readonly string[], start: StartSlirpvde): Promise<void> {
  const run = await readCommandLine(VDENET_RUN, words, configure);
  if (run === null) return;
  const { runService } = await import('./run-service.ts');
  await runService(
    VDENET_RUN.name,
    { ...run.config, signals: [] }, // they are COMMAND's
    (log) => startBehindRouter(run, log, start),
    () => {},
  );
}

async function configure(parsed: ParsedCommand): Promise<Run> {
  if (parsed.positionals.length === 0) throw new UsageError('which command is to be run?');
  const { slirpvdeConfig } = await import('./slirpvde-config.ts');
  const values = new Map(parsed.values);
  // The namespace is not there yet: any number passes the checks.
  values.set('netns', '1').set('configure', true);
  if (!values.has('mtu')) values.set('mtu', DEFAULT_MTU);
  if (!values.has('verbose')) values.set('quiet', true);
  const config = slirpvdeConfig({ ...parsed, values, positionals: [] }, workingDirectory());
  return { config, argv: parsed.positionals };
}

async function startBehindRouter({ config, argv }: Run, log: Log, start: StartSlirpvde): Promise<Closable> {
  const child = new Shell(argv, nameServers(config));
  let service: SlirpvdeService | null = null;
  const close = async (): Promise<void> => {
    await child.end();
    await service?.close();
  };
  for (const signal of PASSED) process.on(signal, () => child.signal(signal));
  try {
    const netns = await child.ready();
    if (netns === null) return { ended: child.ended, close };
    const there = { ...config, tap: { ...config.tap!, netns } };
    service = await start(there, log, { again: () => there, files: [] });
    child.go();
    // Without the router COMMAND has no network: it is ended, and its status counts unless the router has failed.
    const over = service.ended.then(async (why) => {
      await child.end();
      return why ?? (await child.ended);
    });
    return { ended: Promise.race([over, child.ended]), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether Ctrl-C at the terminal reaches this process, and then COMMAND, which is in the same process group. */
function inForeground(): boolean {
  try {
    const [, , group, , , foreground] = readFileSync('/proc/self/stat', 'latin1').replace(/.*\) /s, '').split(' ');
    return group === foreground;
  } catch {
    return false;
  }
}

/** Settings of the kernel that forbid user namespaces, by the value that does. */
const FORBIDDING: readonly (readonly [sysctl: string, value: string, allows: string])[] = [
  ['user.max_user_namespaces', '0', '10000'],
  ['kernel.unprivileged_userns_clone', '0', '1'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1', '0'],
];

/** Why there are no namespaces, and what helps. */
function whyNoNamespaces(): string {
  for (const [sysctl, value, allows] of FORBIDDING) {
    let text: string;
    try {
      text = readFileSync(`/proc/sys/${sysctl.replaceAll('.', '/')}`, 'latin1').trim();
    } catch {
      continue; // not of this kernel
    }
    if (text === value) return `${sysctl} is ${value} here; allow them with: sysctl -w ${sysctl}=${allows}`;
  }
  return 'unshare(1) has said why; in a container the runtime has to allow user namespaces';
}

/** What /etc/resolv.conf says in there. */
function nameServers({ names, search }: SlirpvdeConfig): string {
  const servers = [
    ...(names.told4 === null ? [] : [formatIpv4(names.told4)]),
    ...(names.told6 === null ? [] : [formatIpv6(names.told6)]),
  ];
  const lines = servers.map((address) => `nameserver ${address}\n`);
  return `${lines.join('')}${search.names.length === 0 ? '' : `search ${search.names.join(' ')}\n`}`;
}

/** The shell in its namespaces, later COMMAND. */
class Shell {
  /** Exit status. */
  readonly ended: Promise<number>;
  private readonly child: ReturnType<typeof spawn>;
  private readonly channel: Socket;
  private readonly failed: Promise<never>;
  private readonly dir: string;
  private gone = false;
  private signalled = false;

  constructor(argv: readonly string[], resolvConf: string) {
    this.dir = mkdtempSync(join(tmpdir(), 'vdenet-run-'));
    const file = join(this.dir, 'resolv.conf');
    writeFileSync(file, resolvConf);
    const unshare = ['--user', '--map-root-user', '--net', '--mount', '--'];
    this.child = spawn('unshare', [...unshare, 'sh', '-c', SCRIPT, 'vdenet', file, ...argv], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    });
    this.channel = this.child.stdio[CHANNEL] as Socket;
    this.channel.on('error', () => {}); // told by the end of the child
    this.ended = new Promise((done) => {
      this.child.once('exit', (code, signal) => {
        this.gone = true;
        done(code ?? EXIT_SIGNAL + constants.signals[signal ?? 'SIGKILL']);
      });
    });
    this.failed = new Promise((_, reject) => {
      this.child.once('error', (error: NodeJS.ErrnoException) => {
        this.gone = true;
        const help = error.code === 'ENOENT' ? 'is util-linux installed?' : '';
        reject(new VdeError('ERR_VDE_NAMESPACE', `cannot start unshare(1): ${error.code}; ${help}`));
      });
    });
    this.failed.catch(() => {}); // waited for in ready() only
  }

  /** Waits until the namespaces are there; the process number that names them. null: a signal was faster. */
  async ready(): Promise<string | null> {
    const { child, channel } = this;
    const there = new Promise<void>((done) => channel.once('data', () => done()));
    const early = this.ended.then(() => {
      if (this.signalled) return;
      throw new VdeError('ERR_VDE_NAMESPACE', `cannot make the namespaces for the command: ${whyNoNamespaces()}`);
    });
    let timer: NodeJS.Timeout | null = null;
    const late = new Promise<never>((_, reject) => {
      const why = `the namespaces were not there after ${NAMESPACE_MS} ms`;
      timer = setTimeout(() => reject(new VdeError('ERR_VDE_NAMESPACE', why)), NAMESPACE_MS);
    });
    early.catch(() => {});
    try {
      await Promise.race([there, early, late, this.failed]);
    } finally {
      clearTimeout(timer!);
      rmSync(this.dir, { recursive: true, force: true }); // bound, or not wanted
    }
    return this.gone ? null : String(child.pid);
  }

  /** Lets COMMAND run. */
  go(): void {
    this.channel.end('\n');
  }

  /** Passes on what was sent to this process. */
  signal(signal: NodeJS.Signals): void {
    if (OF_TERMINAL.includes(signal) && inForeground()) return;
    this.signalled = true;
    this.child.kill(signal);
  }

  /** Ends COMMAND, if it has not ended. */
  async end(): Promise<void> {
    if (this.gone) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    await this.ended;
    clearTimeout(timer);
  }
}
