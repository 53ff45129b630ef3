// A small network for one group of interop tests, made of namespaces and gone with them:
//
//     guest g1                     world                                      server
//     tap0 -- plug --+
//     guest g2       +-- switch -- slirpvde (under test) -- w0 ====== eth0    HTTP, TCP, UDP, DNS, iperf3
//     tap0 -- plug --+             198.51.100.1                 198.51.100.2
//
// The switch is Debian's vde_switch, ours, or the one that slirpvde brings itself. No address outside is ever reached.
// VDENET_SLIRPVDE holds the command under test, split at blanks; it is `node bin/slirpvde` when not set.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listens } from './listens.ts';
import { cable, type EnterOptions, IS_ROOT, Namespace, PROJECT, type Who } from './namespace.ts';
import { type Child, commandOf, type Exit, processesOf, type Result, until } from './process.ts';

/** Debian's vde_switch, ours, or the one inside of slirpvde. */
export type SwitchKind = 'debian' | 'own' | 'embedded';

export const SERVER = '198.51.100.2';
export const WORLD = '198.51.100.1';
/** The same with IPv6, where a lab has it. */
export const SERVER6 = '2001:db8:99::2';
export const WORLD6 = '2001:db8:99::1';
export const GATEWAY = '10.0.2.2';
export const DNS = '10.0.2.3';

export const BIG_TXT_RECORDS = 40; // about 8 KB

const command = process.env['VDENET_SLIRPVDE']?.trim().split(/\s+/);
/** The words that start the slirpvde under test; relative paths are taken from the project. */
export const SLIRPVDE: readonly string[] = command ?? [process.execPath, join(PROJECT, 'bin/slirpvde')];
/** The words that start our switch. */
export const VDE_SWITCH: readonly string[] = [process.execPath, join(PROJECT, 'bin/vde_switch')];

const DHCP_SCRIPT = `#!/bin/sh
# Configures the interface as udhcpc (first argument) or dhclient (reason) says.
set -e
case "\${1:-$reason}" in
  deconfig | PREINIT)
    ip address flush dev "$interface"
    ip link set "$interface" up ;;
  bound | renew | BOUND | RENEW | REBIND | REBOOT)
    ip address replace "\${ip:-$new_ip_address}/\${subnet:-$new_subnet_mask}" dev "$interface"
    for gateway in \${router:-$new_routers}; do ip route replace default via "$gateway"; done
    for server in \${dns:-$new_domain_name_servers}; do echo "nameserver $server"; done > /etc/resolv.conf ;;
esac
`;

export interface LabOptions {
  /** Arguments of slirpvde besides the switch. Default `-dhcp`. */
  readonly router?: readonly string[];
  /** False: the test starts slirpvde itself. */
  readonly start?: boolean;
  /** Who slirpvde is. */
  readonly who?: Who;
  /** Whether ping sockets are allowed to slirpvde. Default true. */
  readonly ping?: boolean;
  /** The command under test; default slirpvde, or VDENET_SLIRPVDE. */
  readonly command?: 'slirpvde6';
  /** World and server have IPv6 too. Default false. */
  readonly ipv6?: boolean;
  /** Number of guests plugged in when the lab opens. Default 1. */
  readonly guests?: number;
}

/** A station of the virtual network: a namespace whose tap0 a plug joins to the switch. */
export class Guest {
  readonly space: Namespace;
  private readonly lab: Lab;
  private plug: Child | null = null;

  constructor(lab: Lab, space: Namespace) {
    this.lab = lab;
    this.space = space;
  }

  run(argv: readonly string[], options?: EnterOptions): Promise<Result> {
    return this.space.run(argv, options);
  }

  must(argv: readonly string[], options?: EnterOptions): Promise<string> {
    return this.space.must(argv, options);
  }

  /** Runs a line of shell. */
  shell(line: string, options?: EnterOptions): Promise<Result> {
    return this.space.run(['sh', '-c', line], options);
  }

  /** Joins tap0 to the switch at `url`, by Debian's vde_plug2tap unless another plug is given. */
  async join(url = this.lab.ctl, plug: readonly string[] = ['vde_plug2tap', '-s', url, 'tap0']): Promise<void> {
    await this.leave();
    this.plug = this.space.start(plug);
    const up = async (): Promise<boolean> => (await this.run(['ip', 'link', 'set', 'tap0', 'up'])).code === 0;
    await until(up, 5000, () => `no tap0 by ${plug.join(' ')}: ${this.plug?.stderr}`);
    const file = join(this.lab.dir, `${this.space.name}.pcap`);
    const ring = ['-C', '50', '-W', '2', '-Z', 'root'];
    this.space.start(['tcpdump', '-i', 'tap0', '-n', '-U', '-s', '128', ...ring, '-w', file]);
  }

  async leave(): Promise<void> {
    await this.plug?.stop();
    this.plug = null;
  }

  /** Configures tap0 by udhcpc; the address. */
  async dhcp(seconds = 10): Promise<string> {
    const times = ['-n', '-q', '-t', String(seconds), '-T', '1'];
    await this.must(['udhcpc', '-i', 'tap0', '-s', this.lab.dhcpScript, ...times], {
      timeoutMs: (seconds + 5) * 1000,
    });
    return this.address();
  }

  /** The IPv4 address of an interface with its prefix length, or an empty string. */
  async address(device = 'tap0'): Promise<string> {
    const text = await this.must(['ip', '-4', '-o', 'address', 'show', 'dev', device]);
    return /inet (\S+)/.exec(text)?.[1] ?? '';
  }

  /** Configures tap0 by hand, and waits until the router answers. */
  async configure(address: string): Promise<void> {
    await this.must(['ip', 'address', 'replace', `${address}/24`, 'dev', 'tap0']);
    await this.must(['ip', 'route', 'replace', 'default', 'via', GATEWAY]);
    const answers = async (): Promise<boolean> =>
      (await this.run(['ping', '-n', '-c', '1', '-W', '1', GATEWAY])).code === 0;
    await until(answers, 10_000, 'the gateway answers a ping');
  }
}

export class Lab {
  readonly kind: SwitchKind;
  /** Directory of everything that is written; kept when a test has failed. */
  readonly dir: string;
  /** The switch's control directory. */
  readonly ctl: string;
  readonly dhcpScript: string;
  readonly guests: Guest[] = [];
  /** Set by a failed test: the directory stays. */
  keep = false;
  private readonly options: LabOptions;
  private readonly id: string;
  private readonly spaces: Namespace[] = [];
  private switchChild: Child | null = null;
  private routerChild: Child | null = null;

  private constructor(kind: SwitchKind, options: LabOptions) {
    this.kind = kind;
    this.options = options;
    this.dir = mkdtempSync(join(tmpdir(), 'vdenet-interop-'));
    this.id = this.dir;
    this.ctl = join(this.dir, 'run/ctl');
    this.dhcpScript = join(this.dir, 'dhcp.sh');
    writeFileSync(this.dhcpScript, DHCP_SCRIPT, { mode: 0o755 });
    chmodSync(this.dir, 0o755);
  }

  static async open(kind: SwitchKind, options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(kind, options);
    try {
      await lab.build();
      return lab;
    } catch (error) {
      lab.keep = true;
      const report = lab.report();
      await lab.close();
      throw new Error(`${(error as Error).message}\n${report}`, { cause: error });
    }
  }

  get world(): Namespace {
    return this.spaces[0]!;
  }

  get server(): Namespace {
    return this.spaces[1]!;
  }

  get guest(): Guest {
    return this.guests[0]!;
  }

  /** The switch, when it is a program of its own. */
  get switch(): Child {
    if (this.switchChild === null) throw new Error('vde_switch has not been started');
    return this.switchChild;
  }

  /** The slirpvde under test. */
  get router(): Child {
    if (this.routerChild === null) throw new Error('slirpvde has not been started');
    return this.routerChild;
  }

  /** Starts the switch at `ctl`, and waits until it listens. */
  async startSwitch(): Promise<Child> {
    this.switchChild = this.world.start([...(this.kind === 'own' ? VDE_SWITCH : ['vde_switch']), '-s', this.ctl], {
      who: this.options.who ?? 'root',
    });
    await until(() => this.listens(), 5000, `vde_switch listens: ${this.switchChild.stderr}`);
    return this.switchChild;
  }

  /** Starts slirpvde, and waits until it has joined the switch, or listens as one. */
  async startRouter(args: readonly string[] = this.options.router ?? ['-dhcp']): Promise<Child> {
    const { command } = this.options;
    const words = command === undefined ? SLIRPVDE : [process.execPath, join(PROJECT, 'bin', command)];
    const argv = [...words, '-s', this.ctl, ...args];
    const before = this.kind === 'embedded' ? 0 : this.endpoints();
    const child = this.world.start(argv, { who: this.options.who ?? 'root' });
    this.routerChild = child;
    const ready = (): boolean | Promise<boolean> =>
      this.kind === 'embedded' ? this.listens() : this.endpoints() > before;
    await until(
      () => !child.running || ready(),
      10_000,
      () => `slirpvde is ready: ${child.stderr}`,
    );
    if (!child.running) throw new Error(`slirpvde has ended: ${child.stderr}${child.stdout}`);
    return child;
  }

  /** How many data sockets stand in the control directory of the switch: one for each that has joined. */
  endpoints(): number {
    return readdirSync(this.ctl).filter((name) => /^\d{3}\./.test(name)).length;
  }

  /** Ends slirpvde as an init system would. */
  async stopRouter(): Promise<Exit> {
    return this.router.stop();
  }

  /** A further namespace of the lab's world. */
  async addSpace(name: string): Promise<Namespace> {
    const space = await Namespace.open(name, this.id, this.world);
    this.spaces.push(space);
    return space;
  }

  /** A further guest, plugged in unless told otherwise. */
  async addGuest(join = true): Promise<Guest> {
    const space = await Namespace.open(`g${this.guests.length + 1}`, this.id, this.world);
    this.spaces.push(space);
    await space.ownResolvConf(this.dir, '');
    const guest = new Guest(this, space);
    this.guests.push(guest);
    if (join) await guest.join();
    return guest;
  }

  /** The words that run a script of this project in a namespace. */
  script(path: string): string[] {
    return [process.execPath, '--import=tsx', join(PROJECT, path)];
  }

  /** Starts dnsmasq as the resolver of the world: `host.test`, and `big.test` whose TXT records need TCP. */
  async startDns(): Promise<void> {
    const texts = Array.from(
      { length: BIG_TXT_RECORDS },
      (_, i) => `--txt-record=big.test,${`${i}:`.padEnd(200, 'x')}`,
    );
    const names = ['--local=/test/', '--host-record=host.test,192.0.2.77', ...texts];
    const own = ['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='];
    const dnsmasq = this.server.start(['dnsmasq', ...own, `--listen-address=${SERVER}`, '--bind-interfaces', ...names]);
    await dnsmasq.until((child) => child.stderr.includes('started'), 5000, 'dnsmasq is ready');
  }

  /** What a failed test shows: what the programs printed, and where the pcaps are. */
  report(): string {
    const lines = [`files of the run, with pcaps of the guests' tap0: ${this.dir}`];
    for (const child of this.spaces.flatMap((space) => space.children)) {
      if (child.title.includes('tcpdump')) continue;
      const text = `${child.stdout}${child.stderr}`.trim().split('\n').slice(-40).join('\n    ');
      const state = child.running ? 'running' : `ended, ${child.process.signalCode ?? child.process.exitCode}`;
      lines.push(`${child.title} (${state})${text === '' ? '' : `\n    ${text}`}`);
    }
    return lines.join('\n');
  }

  /**
   * Ends everything. Returns what was left behind: processes of the lab that still ran, and, when slirpvde was
   * the switch, its control directory.
   */
  async close(): Promise<string[]> {
    for (const guest of this.guests) await guest.leave();
    await this.routerChild?.stop();
    const left: string[] = [];
    if (this.kind === 'embedded' && existsSync(this.ctl)) left.push(`directory ${this.ctl}`);
    for (const space of [...this.spaces].reverse()) await space.close();
    for (const pid of processesOf(this.id)) {
      left.push(`process ${pid}: ${commandOf(pid)}`);
      process.kill(pid, 'SIGKILL');
    }
    await until(() => processesOf(this.id).length === 0, 5000, 'all processes of the lab are gone');
    if (!this.keep) rmSync(this.dir, { recursive: true, force: true });
    return left;
  }

  private async build(): Promise<void> {
    const world = await Namespace.open('world', this.id);
    this.spaces.push(world);
    const server = await Namespace.open('server', this.id, world);
    this.spaces.push(server);
    await cable(world, ['w0', `${WORLD}/24`], server, ['eth0', `${SERVER}/24`]);
    await world.ownResolvConf(this.dir, `nameserver ${SERVER}\n`);
    // A new namespace forbids ping sockets to all groups.
    const groups = IS_ROOT ? '0 2147483647' : '0 0';
    if (this.options.ping !== false) await world.sysctl('net.ipv4.ping_group_range', groups);

    const run = join(this.dir, 'run');
    await world.must(['mkdir', '-m', '755', run]);
    if (this.options.who === 'nobody' && IS_ROOT) chownSync(run, 65534, 65534);

    const services = [server.start(this.script('test/interop/lab/server.ts'))];
    if (this.options.ipv6 === true) {
      await world.must(['ip', 'address', 'add', `${WORLD6}/64`, 'dev', 'w0', 'nodad']);
      await server.must(['ip', 'address', 'add', `${SERVER6}/64`, 'dev', 'eth0', 'nodad']);
      services.push(server.start([...this.script('test/interop/lab/server.ts'), '::']));
    }
    if (this.kind !== 'embedded') await this.startSwitch();
    if (this.options.start !== false) await this.startRouter();
    for (let i = 0; i < (this.options.guests ?? 1); i++) await this.addGuest();
    for (const each of services)
      await each.until((child) => child.stdout.includes('ready'), 10_000, 'the servers listen');
  }

  /** Whether a switch takes calls at a control directory. */
  listens(ctl = this.ctl): Promise<boolean> {
    return listens(join(ctl, 'ctl'));
  }

  /** The text of a file of the lab, empty when it is not there. */
  read(name: string): string {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}
