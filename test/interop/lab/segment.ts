// One Ethernet segment for the tests of what vde_switch protects: our switch as a process, and stations in namespaces, each
// joined to the port of its number by Debian's vde_plug2tap. A station has a kernel, and beside it segment.py, which sends
// what a kernel would not.
//
// Nothing is waited for by time. A question "did it arrive" is asked behind markers: frames that follow the one in question
// on the same way, so that when the marker is there, the other has come or never will. The last station (the router) is
// never restricted, and every marker goes by way of it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VDE_SWITCH } from './lab.ts';
import { listens } from './listens.ts';
import { Namespace, PROJECT } from './namespace.ts';
import { type Child, commandOf, processesOf, until } from './process.ts';
import { consoleSession } from './vde-net.ts';

const PATIENCE_MS = 20_000;
const MARK_AGAIN_MS = 500;

/** What the switch prints for a port in `drops/list`: reasons with their numbers. */
export type Counted = Readonly<Record<string, number>>;

export class GuestStation {
  readonly port: number;
  readonly mac: string;
  readonly space: Namespace;
  private readonly child: Child;
  private lines = 1;

  constructor(port: number, mac: string, space: Namespace, child: Child) {
    this.port = port;
    this.mac = mac;
    this.space = space;
    this.child = child;
  }

  /** Gives segment.py an order. */
  async order(order: object): Promise<Record<string, number>> {
    const number = this.lines++;
    this.child.write(`${JSON.stringify(order)}\n`);
    const answers = () => this.child.stdout.split('\n').length > number + 1;
    await this.child.until(answers, PATIENCE_MS, JSON.stringify(order));
    return JSON.parse(this.child.stdout.split('\n')[number]!) as Record<string, number>;
  }

  async heard(text: string): Promise<number> {
    return (await this.order({ heard: text }))['count']!;
  }
}

export class Segment {
  readonly dir = mkdtempSync(join(tmpdir(), 'vdenet-seg-'));
  readonly stations: GuestStation[] = [];
  private readonly ctl = join(this.dir, 'ctl');
  private readonly mgmt = join(this.dir, 'mgmt');
  private readonly spaces: Namespace[] = [];
  private child: Child | null = null;
  private number = 0;

  /** Starts the switch with further words, and `count` stations on ports 1 to `count`; the last one is the router. */
  static async open(words: readonly string[], count: number): Promise<Segment> {
    const segment = new Segment();
    try {
      await segment.build(words, count);
      return segment;
    } catch (error) {
      await segment.close();
      throw error;
    }
  }

  get router(): GuestStation {
    return this.stations.at(-1)!;
  }

  /** What the switch has logged. */
  get log(): string {
    return this.child?.stderr ?? '';
  }

  /** Runs console commands, which must succeed; what they printed between data mark and status. */
  async console(...commands: string[]): Promise<string> {
    const answers = await consoleSession(this.mgmt, 'the switch', commands);
    const bad = answers.findIndex((answer) => !answer.endsWith('1000 Success'));
    if (bad >= 0) throw new Error(`${commands[bad]}: ${answers[bad]}`);
    return answers.map((answer) => answer.replace(/^0000.*\n/, '').replace(/\.?\n?1000 Success$/, '')).join('');
  }

  /** What the switch has counted for frames from a port: dropped (`in`) or let pass with a warning (`warn`). */
  async counted(port: number, kind: 'in' | 'warn'): Promise<Counted> {
    const rows = (await this.console(`drops/list ${port}`)).split('\n').map((line) => line.trim().split(/\s+/));
    return Object.fromEntries(rows.filter((row) => row[1] === kind).map((row) => [row[2], Number(row[3])]));
  }

  /** Whether the packet of a scapy expression, sent by one station, is heard by another. */
  async passes(from: GuestStation, to: GuestStation, packet: string): Promise<boolean> {
    const text = this.text();
    await from.order({ send: packet, end: text });
    await this.settle(from, to);
    return (await to.heard(text)) > 0;
  }

  /** Returns when whatever `from` has sent has arrived at `to`, if it ever will. */
  async settle(from: GuestStation, to: GuestStation): Promise<void> {
    if (from !== this.router) await this.mark(from, this.router);
    if (to !== this.router) await this.mark(this.router, to);
  }

  text(): string {
    return `token-${++this.number}.`;
  }

  async close(): Promise<string[]> {
    for (const space of [...this.spaces].reverse()) await space.close();
    const left = processesOf(this.dir);
    const names = left.map(commandOf);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
    return names;
  }

  /** A marker that is lost behind a flood is sent again: what counts is that one has come. */
  private async mark(from: GuestStation, to: GuestStation): Promise<void> {
    const text = this.text();
    const again = { send: `Ether(src="${from.mac}", dst="${to.mac}", type=0x88b5)`, end: text.padEnd(46) };
    let sentAt = Number.NEGATIVE_INFINITY;
    const heard = async (): Promise<boolean> => {
      if (performance.now() - sentAt > MARK_AGAIN_MS) {
        await from.order(again);
        sentAt = performance.now();
      }
      return (await to.heard(text)) > 0;
    };
    await until(heard, PATIENCE_MS, `a frame of the station on port ${from.port} at that on port ${to.port}`);
  }

  private async build(words: readonly string[], count: number): Promise<void> {
    const world = await Namespace.open('world', this.dir);
    this.spaces.push(world);
    const line = ['-s', this.ctl, '-M', this.mgmt, '-f', '/dev/null', '--nostdin', ...words];
    const child = world.start([...VDE_SWITCH, ...line]);
    this.child = child;
    await until(
      async () => !child.running || (await listens(this.mgmt)),
      PATIENCE_MS,
      () => `the switch listens: ${child.stderr}`,
    );
    this.stations.push(...(await Promise.all(Array.from({ length: count }, (_, i) => this.station(world, i + 1)))));
  }

  private async station(world: Namespace, port: number): Promise<GuestStation> {
    const space = await Namespace.open(`s${port}`, this.dir, world);
    this.spaces.push(space);
    const mac = `02:00:00:00:00:0${port}`;
    await space.sysctl('net.ipv6.conf.default.disable_ipv6', '1'); // nothing is said unless the test says it
    const plug = space.start(['vde_plug2tap', '-s', `${this.ctl}[${port}]`, 'tap0']);
    const set = async () => (await space.run(['ip', 'link', 'set', 'tap0', 'address', mac, 'up'])).code === 0;
    await until(set, PATIENCE_MS, () => `tap0: ${plug.stderr}`);
    const child = space.start(['/usr/bin/python3', join(PROJECT, 'test/interop/lab/segment.py')]);
    await child.until(({ stdout }) => stdout.includes('ready'), 3 * PATIENCE_MS, 'segment.py');
    return new GuestStation(port, mac, space, child);
  }
}
