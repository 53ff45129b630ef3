// Switches, cables and stations on Unix sockets, for tests that need no namespaces: Debian's vde_switch as processes, our
// switch in the test's own, cables between any two, and stations that send numbered frames and note what they hear.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../src/core/clock.ts';
import { FrameMemory, type Link } from '../../../src/core/frame.ts';
import { TimerWheel } from '../../../src/core/timer-wheel.ts';
import { VdeClient, VdeServer } from '../../../src/link/index.ts';
import { portAllocator, Switch } from '../../../src/switch/index.ts';
import { listens } from './listens.ts';
import { Child, processesOf, until } from './process.ts';

const BANNER_END = /vde\$ $/;
const PROMPT_MS = 10_000;

/** Runs console commands in one session, one after the other, at a switch of either make; what each printed. */
export async function consoleSession(
  mgmt: string,
  name: string,
  commands: readonly string[],
  prompt = BANNER_END,
): Promise<string[]> {
  const socket = connect(mgmt);
  const answers: string[] = [];
  try {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => {}); // told by the prompt that does not come
    await until(() => prompt.test(text), PROMPT_MS, `the prompt of ${name}`);
    for (const command of commands) {
      text = '';
      socket.write(`${command}\n`);
      await until(() => prompt.test(text), PROMPT_MS, `an answer of ${name} to ${command}`);
      answers.push(text.replace(prompt, '').trim());
    }
    return answers;
  } finally {
    socket.destroy();
  }
}

/** A switch of either make, as tests see it. */
export interface NetSwitch {
  readonly name: string;
  /** Control directory. */
  readonly ctl: string;
}

/** Debian's switch. */
export class DebianSwitch implements NetSwitch {
  readonly name: string;
  readonly ctl: string;
  readonly child: Child;
  private readonly mgmt: string;

  constructor(name: string, dir: string, args: readonly string[]) {
    this.name = name;
    this.ctl = join(dir, name);
    this.mgmt = join(dir, `${name}.mgmt`);
    this.child = new Child(dir, ['vde_switch', '-s', this.ctl, '-M', this.mgmt, ...args]);
  }

  /** Runs console commands in one session; what each printed. */
  console(...commands: string[]): Promise<string[]> {
    return consoleSession(this.mgmt, this.name, commands);
  }

  /** The same; throws when one of them fails. */
  async configure(...commands: string[]): Promise<void> {
    const answers = await this.console(...commands);
    const bad = answers.findIndex((answer) => !answer.endsWith('1000 Success'));
    if (bad >= 0) throw new Error(`${this.name}: ${commands[bad]}: ${answers[bad]}`);
  }
}

/** Our switch, in this process, with a control directory for others to join. */
export class OwnSwitch implements NetSwitch {
  readonly name: string;
  readonly ctl: string;
  readonly sw: Switch;
  readonly server: VdeServer;

  constructor(name: string, sw: Switch, server: VdeServer) {
    this.name = name;
    this.ctl = server.path;
    this.sw = sw;
    this.server = server;
  }
}

const STATION_TYPE = 0x88b6;

/** A station that sends numbered broadcasts and counts copies of those of others. */
export class Station {
  readonly link: VdeClient;
  /** How often each number was heard, and when first, ms. */
  readonly heard = new Map<number, { count: number; at: number }>();
  /** All frames heard, as they came, of the test's own type or not. */
  readonly frames: Uint8Array[] = [];
  private readonly mac: Uint8Array;

  constructor(link: VdeClient, id: number) {
    this.link = link;
    this.mac = Uint8Array.of(2, 0, 0, 0, 1, id);
    link.attach({ frame: (b, off, len) => this.take(b.slice(off, off + len)), flush: () => {} });
  }

  /** Sends broadcast number `n`, with a tag when one is given. */
  send(n: number, vlan = -1, len = 60): void {
    const head = vlan < 0 ? [] : [0x81, 0x00, vlan >> 8, vlan & 255];
    const bytes = Uint8Array.of(...new Array(6).fill(255), ...this.mac, ...head, 0x88, 0xb6, n >> 8, n & 255);
    this.raw(Uint8Array.of(...bytes, ...new Uint8Array(Math.max(0, len - bytes.length))));
  }

  raw(bytes: Uint8Array): void {
    this.link.tx.frame(bytes, 0, bytes.length);
    this.link.tx.flush();
  }

  copies(n: number): number {
    return this.heard.get(n)?.count ?? 0;
  }

  private take(bytes: Uint8Array): void {
    const at = bytes[12] === 0x81 && bytes[13] === 0 ? 16 : 12;
    if (((bytes[at]! << 8) | bytes[at + 1]!) !== STATION_TYPE) return;
    if (this.frames.length < 10_000) this.frames.push(bytes);
    const n = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const known = this.heard.get(n);
    if (known === undefined) this.heard.set(n, { count: 1, at: performance.now() });
    else known.count++;
  }
}

/** A cable that can be cut. */
export interface Cable {
  cut(): Promise<void>;
}

export class VdeNet {
  readonly dir = mkdtempSync(join(tmpdir(), 'vdenet-net-'));
  readonly memory = new FrameMemory();
  readonly wheel = new TimerWheel(new SystemClock());
  private readonly children: Child[] = [];
  private readonly servers: VdeServer[] = [];
  private readonly links: Link[] = [];
  private stations = 0;

  async debian(name: string, args: readonly string[] = [], commands: readonly string[] = []): Promise<DebianSwitch> {
    const made = new DebianSwitch(name, this.dir, args);
    this.children.push(made.child);
    await until(
      () => listens(join(made.ctl, 'ctl')),
      5000,
      () => `${name} listens: ${made.child.stderr}`,
    );
    await until(
      () => listens(join(this.dir, `${name}.mgmt`)),
      5000,
      () => `console of ${name}: ${made.child.stderr}`,
    );
    if (commands.length > 0) await made.configure(...commands);
    return made;
  }

  async own(name: string, options: Partial<ConstructorParameters<typeof Switch>[0]> = {}): Promise<OwnSwitch> {
    const sw = new Switch({ wheel: this.wheel, memory: this.memory, ...options });
    const path = join(this.dir, name);
    const server = await VdeServer.listen({ path, memory: this.memory, allocate: portAllocator(sw) });
    this.servers.push(server);
    return new OwnSwitch(name, sw, server);
  }

  /** Joins a switch of ours to another by given ports; ours holds the cable. */
  async cable(own: OwnSwitch, ownPort: number, other: NetSwitch, otherPort: number): Promise<Cable> {
    const link = await this.plug(other, otherPort);
    const endpoint = own.sw.plug(link, { port: ownPort, uid: process.getuid!() });
    if (typeof endpoint === 'string') throw new Error(endpoint);
    return {
      cut: async () => {
        own.sw.unplug(endpoint);
        await link.close();
      },
    };
  }

  async station(sw: NetSwitch, port = -1): Promise<Station> {
    return new Station(await this.plug(sw, port), ++this.stations);
  }

  /** Ends everything; what was left running. */
  async close(): Promise<string[]> {
    for (const link of this.links) await link.close();
    for (const server of this.servers) await server.close();
    for (const child of this.children) await child.stop();
    const left = processesOf(this.dir);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
    return left.map(String);
  }

  /** A plug in this process. */
  async plug(sw: NetSwitch, port: number): Promise<VdeClient> {
    const link = await VdeClient.connect({ path: sw.ctl, port, memory: this.memory, description: 'test' });
    this.links.push(link);
    return link;
  }
}
