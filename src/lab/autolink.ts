// Links between switches that are kept alive: vde_autolink's logic, without processes and sockets.
//
// A wire is a command that joins a port of our switch to another switch (`ssh HOST vde_plug` behind a dpipe, say). A link
// has a port of our switch, hosts and types of wires; host and type together are a way. Ways are tried in turn:
//
//   OFF --on--> TRYING --check: frames come--> UP --check: silent, or the wire has ended--> TRYING (next way)
//                 |  ^                                                      ^
//                 |  +-- the wire has ended, or nothing was heard: next way |
//                 +-- every way was tried: WAITING -- retryMs, then slowMs ---+
//
// A check looks at the port: it must have an endpoint, and when the switch runs FSTP, BPDUs of the other side must have
// come since the last look (they come every four seconds). Without FSTP silence is no sign, and the endpoint counts alone.
//
// Before each wire the port is made again if it is not there: a switch that was restarted has forgotten it.

import { VdeError } from '../core/errors.ts';
import type { Timers } from '../link/index.ts';

export const MAX_WIRES = 64;
export const MAX_LINKS = 256;
export const MAX_HOSTS = 16;

/** A port of the switch, as its console tells. */
export interface PortState {
  /** Has an endpoint. */
  readonly active: boolean;
  /** Frames that came in since it was made. */
  readonly frames: number;
}

/** What is needed of the switch. All reject with a VdeError. */
export interface SwitchControl {
  /** Makes a port that nobody gets unasked; its number. */
  reserve(): Promise<number>;
  /** Makes the port again if it is not there. */
  ensure(port: number): Promise<void>;
  release(port: number): Promise<void>;
  look(port: number): Promise<PortState>;
  /** Whether FSTP runs. */
  fstp(): Promise<boolean>;
}

/** A wire that runs. */
export interface RunningWire {
  /** Ends it; safe to call twice. */
  stop(): void;
}

export interface AutolinkOptions {
  /** Control directory of the switch, for `$mysock`. */
  readonly sock: string;
  readonly control: SwitchControl;
  /** Starts a command; `ended` is told once, with a reason, when it has ended or could not be started. */
  readonly run: (argv: readonly string[], ended: (why: string) => void) => RunningWire;
  readonly timers: Timers;
  /** Between looks at a port, and from the start of a wire to the first, milliseconds. */
  readonly checkMs: number;
  /** From the first round without success to the next, and between later ones. */
  readonly retryMs: number;
  readonly slowMs: number;
  readonly log: (text: string) => void;
  /** A link came up or went down. */
  readonly changed: (link: Autolink, up: boolean) => void;
}

export type LinkState = 'off' | 'trying' | 'up' | 'waiting';

export interface Autolink {
  readonly name: string;
  readonly port: number;
  readonly hosts: readonly string[];
  readonly types: readonly string[];
  readonly state: LinkState;
  /** The way in use, null when none is. */
  readonly way: { readonly host: string; readonly type: string } | null;
}

interface Entry extends Autolink {
  types: string[];
  state: LinkState;
  way: { host: string; type: string } | null;
  /** Ways tried since the last success or pause. */
  tried: number;
  nextWay: number;
  /** Rounds without success. */
  rounds: number;
  wire: RunningWire | null;
  /** Frames at the last look. */
  frames: number;
  job: { action: 'check' | 'retry'; at: number; timer: unknown } | null;
  /** Grows with each wire: what an earlier one still tells is not heard. */
  generation: number;
}

export interface Job {
  readonly action: string;
  readonly link: string;
  readonly inMs: number;
}

const bad = (message: string): VdeError => new VdeError('ERR_VDE_BAD_OPTION', message);

export class Autolinks {
  private readonly options: AutolinkOptions;
  private readonly wires = new Map<string, string>();
  private readonly links = new Map<string, Entry>();
  private closed = false;

  constructor(options: AutolinkOptions) {
    this.options = options;
  }

  wireTypes(): ReadonlyMap<string, string> {
    return this.wires;
  }

  list(): readonly Autolink[] {
    return [...this.links.values()];
  }

  jobs(): Job[] {
    const now = this.options.timers.now();
    return [...this.links.values()]
      .flatMap(({ name, job }) => (job === null ? [] : [{ action: job.action, link: name, inMs: job.at - now }]))
      .sort((a, b) => a.inMs - b.inMs);
  }

  addWire(type: string, command: string): void {
    if (this.wires.has(type)) throw bad(`there is a type of wire ${type} already`);
    if (this.wires.size >= MAX_WIRES) throw bad(`no more than ${MAX_WIRES} types of wires`);
    if (splitCommand(command).length === 0) throw bad('the command is empty');
    this.wires.set(type, command);
  }

  removeWire(type: string): void {
    if (!this.wires.has(type)) throw bad(`there is no type of wire ${type}`);
    const user = this.list().find((link) => link.types.includes(type));
    if (user !== undefined) throw bad(`link ${user.name} uses ${type}; deltypelink ${user.name} ${type} first`);
    this.wires.delete(type);
  }

  /** Adds a link that is off, and reserves its port. */
  async addLink(name: string, hosts: readonly string[]): Promise<Autolink> {
    this.checkNew(name, hosts);
    const port = await this.options.control.reserve();
    if (this.links.has(name)) {
      await this.options.control.release(port);
      this.checkNew(name, hosts);
    }
    const link: Entry = {
      ...{ name, port, hosts, types: [], state: 'off', way: null },
      ...{ tried: 0, nextWay: 0, rounds: 0, wire: null, frames: 0, job: null, generation: 0 },
    };
    this.links.set(name, link);
    return link;
  }

  /** Ends a link and gives its port back. */
  async removeLink(name: string): Promise<void> {
    const link = this.find(name);
    this.links.delete(name);
    this.turnOff(link);
    await this.options.control.release(link.port);
  }

  addType(name: string, type: string): void {
    const link = this.find(name);
    if (!this.wires.has(type)) throw bad(`there is no type of wire ${type}; addwire ${type} COMMAND first`);
    if (link.types.includes(type)) throw bad(`link ${name} has ${type} already`);
    link.types.push(type);
  }

  removeType(name: string, type: string): void {
    const link = this.find(name);
    if (!link.types.includes(type)) throw bad(`link ${name} has no ${type}`);
    link.types = link.types.filter((each) => each !== type);
    if (link.way?.type === type) this.advance(link, `${type} was taken from it`);
  }

  turn(name: string, on: boolean): void {
    const link = this.find(name);
    if (!on) this.turnOff(link);
    else if (link.types.length === 0) throw bad(`link ${name} has no wires; addtypelink ${name} TYPE first`);
    else if (link.state === 'off') this.begin(link);
  }

  /** Ends all wires and gives back the ports, as far as the switch lets it. */
  async close(): Promise<void> {
    this.closed = true;
    const links = [...this.links.values()];
    for (const link of links) this.turnOff(link);
    await Promise.all(links.map(({ port }) => this.options.control.release(port).catch(() => {})));
  }

  /** The words of the command of a way. */
  wordsOf(link: Autolink, host: string, type: string): string[] {
    const values: Record<string, string> = {
      mysock: this.options.sock,
      myport: String(link.port),
      remotehost: host,
    };
    const put = (word: string): string =>
      word.replace(/\$(mysock|myport|remotehost)\b/g, (_, key: string) => values[key]!);
    return splitCommand(this.wires.get(type) ?? '').map(put);
  }

  private checkNew(name: string, hosts: readonly string[]): void {
    if (this.links.has(name)) throw bad(`there is a link ${name} already`);
    if (this.links.size >= MAX_LINKS) throw bad(`no more than ${MAX_LINKS} links`);
    if (hosts.length === 0 || hosts.length > MAX_HOSTS) throw bad(`a link has 1 to ${MAX_HOSTS} hosts`);
    const option = hosts.find((host) => host.startsWith('-'));
    if (option !== undefined) throw bad(`'${option}' is not a host: a command would take it for an option`);
  }

  private find(name: string): Entry {
    const link = this.links.get(name);
    if (link === undefined) throw bad(`there is no link ${name}`);
    return link;
  }

  private begin(link: Entry): void {
    link.tried = 0;
    link.nextWay = 0;
    link.rounds = 0;
    void this.start(link);
  }

  private turnOff(link: Entry): void {
    this.stopWire(link);
    this.setState(link, 'off');
    link.way = null;
  }

  private stopWire(link: Entry): void {
    link.generation++;
    link.wire?.stop();
    link.wire = null;
    if (link.job !== null) this.options.timers.stop(link.job.timer);
    link.job = null;
  }

  private setState(link: Entry, state: LinkState): void {
    const [was, is] = [link.state === 'up', state === 'up'];
    link.state = state;
    if (was !== is) this.options.changed(link, is);
  }

  private schedule(link: Entry, action: 'check' | 'retry', ms: number): void {
    const { timers } = this.options;
    if (link.job !== null) timers.stop(link.job.timer);
    const timer = timers.start(() => {
      link.job = null;
      void (action === 'check' ? this.check(link) : this.start(link));
    }, ms);
    link.job = { action, at: timers.now() + ms, timer };
  }

  /** Starts the next way of a link. */
  private async start(link: Entry): Promise<void> {
    const ways = link.hosts.flatMap((host) => link.types.map((type) => ({ host, type })));
    if (ways.length === 0) {
      this.turnOff(link);
      return;
    }
    const way = ways[link.nextWay % ways.length]!;
    link.nextWay = (link.nextWay + 1) % ways.length;
    link.tried++;
    link.way = way;
    this.setState(link, 'trying');
    const generation = ++link.generation;
    const current = (): boolean => !this.closed && link.generation === generation;
    try {
      const { control } = this.options;
      await control.ensure(link.port);
      const { frames } = await control.look(link.port);
      if (!current()) return;
      link.frames = frames;
    } catch (error) {
      if (current()) this.advance(link, (error as Error).message);
      return;
    }
    this.options.log(`${link.name}: trying ${way.type} to ${way.host}`);
    this.schedule(link, 'check', this.options.checkMs);
    link.wire = this.options.run(this.wordsOf(link, way.host, way.type), (why) => {
      if (!current()) return;
      link.wire = null;
      this.advance(link, why);
    });
  }

  /** Looks whether the other end is there. */
  private async check(link: Entry): Promise<void> {
    const { generation } = link;
    const { control, log, checkMs } = this.options;
    try {
      const [state, fstp] = await Promise.all([control.look(link.port), control.fstp()]);
      if (this.closed || link.generation !== generation) return;
      const heard = state.active && (!fstp || state.frames > link.frames);
      link.frames = state.frames;
      if (!heard) {
        this.advance(link, state.active ? 'no BPDU came' : 'its port has no endpoint');
        return;
      }
      link.tried = 0;
      link.rounds = 0;
      this.setState(link, 'up');
    } catch (error) {
      if (this.closed || link.generation !== generation) return;
      log(`${link.name}: cannot be checked: ${(error as Error).message}`);
    }
    this.schedule(link, 'check', checkMs);
  }

  /** The present way has failed: the next one, at once or after a pause. */
  private advance(link: Entry, why: string): void {
    const { retryMs, slowMs, log } = this.options;
    const { host, type } = link.way ?? { host: '', type: '' };
    log(`${link.name}: ${type} to ${host} has failed: ${why}`);
    const wasUp = link.state === 'up';
    this.stopWire(link);
    link.way = null;
    if (wasUp) link.tried = 0;
    if (link.tried < link.hosts.length * link.types.length) {
      this.setState(link, 'trying');
      void this.start(link);
      return;
    }
    this.setState(link, 'waiting');
    link.tried = 0;
    this.schedule(link, 'retry', link.rounds++ === 0 ? retryMs : slowMs);
  }
}

/** Words of a command: split at blanks, '...' and "..." hold together, no shell. Throws for an open quote. */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  const pattern = /\s*((?:'[^']*'|"[^"]*"|[^\s'"])+)/y;
  const trimmed = text.trimEnd();
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (match === null) throw bad(`a quote is not closed in: ${text}`);
    words.push(
      match[1]!.replace(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''),
    );
  }
  return words;
}
