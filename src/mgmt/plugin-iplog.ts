// The plugin `iplog` of vde_switch: which IP addresses are used at which ports, and by whom.
//
// Addresses inside the given ranges are noted when a frame comes from them, with port, VLAN and MAC. They are forgotten
// when nothing came from them for the expire time, or when their port closes. A new one is an event, and a line in the log
// file. There are MAX_ENTRIES of them; beyond that the unknown are not noted.

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { formatAddress, MAPPED, parseAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { nameOfUser, userIdOf } from '../link/index.ts';
import type { Endpoint, FrameHook, Port, Switch } from '../switch/index.ts';
import { i32 } from '../wire/bytes.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vlanTag from '../wire/vlan.ts';
import { atoi } from './c-numbers.ts';
import { MAX_LINES, macText } from './columns.ts';
import type { Console, ConsoleEntry, EventCategory } from './console.ts';
import type { FrameWatchers } from './frame-watchers.ts';
import type { BuiltInPlugin, Plugin } from './plugins.ts';
import { data, failure, failureOf, type Reply, SUCCESS } from './replies.ts';

const MAX_ENTRIES = 8192;
const MAX_RANGES = 256;
const IPV4_SOURCE = 12;
const IPV6_SOURCE = 8;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;

type Words = readonly [number, number, number, number];

interface Range {
  readonly words: Words;
  readonly prefixLen: number;
  readonly text: string;
  readonly isIpv4: boolean;
}

interface Entry {
  readonly words: Words;
  readonly port: number;
  readonly vlan: number;
  readonly macHi: number;
  readonly macLo: number;
  /** What was plugged in at the time: the entry goes with it. */
  readonly endpoint: Endpoint | undefined;
  seenAt: number;
}

const isMapped = ([w0, w1, w2]: Words): boolean => w0 === 0 && w1 === 0 && w2 === MAPPED;

const addressText = (words: Words): string => `${isMapped(words) ? 'ipv4' : 'ipv6'} ${formatAddress(...words)}`;

/** Whether an address, of which the first bits count, is inside a range. */
function inside(range: Range, w0: number, w1: number, w2: number, w3: number): boolean {
  let bits = range.prefixLen;
  const { words } = range;
  for (let i = 0; i < 4 && bits > 0; i++, bits -= 32) {
    const word = i === 0 ? w0 : i === 1 ? w1 : i === 2 ? w2 : w3;
    const mask = bits >= 32 ? -1 : -1 << (32 - bits);
    if (((word ^ words[i]!) & mask) !== 0) return false;
  }
  return true;
}

function parseRange(text: string): Range | null {
  const [address = '', length, ...more] = text.split('/');
  const words = parseAddress(address);
  if (words === null || more.length > 0) return null;
  const isIpv4 = isMapped(words) && !address.includes(':');
  const most = isIpv4 ? 32 : 128;
  const prefixLen = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (prefixLen < 0 || prefixLen > most) return null;
  return {
    words,
    prefixLen: isIpv4 ? prefixLen + 96 : prefixLen,
    text: `${formatAddress(...words)}/${prefixLen}`,
    isIpv4,
  };
}

export const iplogPlugin = (sw: Switch, watchers: FrameWatchers, clock: Clock): BuiltInPlugin => ({
  name: 'iplog',
  help: 'log ip/port/user assignment',
  open: (console) => new IpLog(sw, watchers, clock, console),
});

class IpLog implements Plugin {
  readonly entries: readonly ConsoleEntry[];
  readonly events: readonly EventCategory[];
  private readonly newIp: EventCategory = { path: 'iplog/newip', tag: 0o301, help: 'show new ip addresses' };
  private readonly sw: Switch;
  private readonly watchers: FrameWatchers;
  private readonly clock: Clock;
  private readonly console: Console;
  private readonly ranges: Range[] = [];
  /** By hash of address, port and VLAN. */
  private readonly table = new Map<number, Entry[]>();
  private size = 0;
  private gcIntervalSec = 10;
  private expireSec = 360;
  private sweptAt = 0;
  private logFile = '';
  private logFd = -1;
  private readonly hook: FrameHook = (incoming, port, b, off, len) => {
    if (incoming) this.frame(port, b, off, len);
  };

  constructor(sw: Switch, watchers: FrameWatchers, clock: Clock, console: Console) {
    this.sw = sw;
    this.watchers = watchers;
    this.clock = clock;
    this.console = console;
    this.events = [this.newIp];
    this.entries = this.commands();
  }

  close(): void {
    this.watchers.remove(this.hook);
    this.closeLog();
  }

  private commands(): ConsoleEntry[] {
    const listOf = (wanted: (entry: Entry) => boolean): Reply =>
      data(
        this.list()
          .filter(wanted)
          .slice(0, MAX_LINES)
          .map((entry) => `${addressText(entry.words)} port=${entry.port} user=${this.userAt(entry.port)}`),
      );
    return [
      { path: 'iplog', help: 'IP/Mac/User Logging' },
      {
        path: 'iplog/showinfo',
        help: 'Show info on logging',
        run: () =>
          data([
            'iplog: ip/port/user logging plugin',
            this.logFile === '' ? 'log disabled' : `log on file ${this.logFile}`,
            `GC interval ${this.gcIntervalSec} secs`,
            `GC expire ${this.expireSec} secs`,
          ]),
      },
      {
        path: 'iplog/logfile',
        syntax: 'pathname',
        help: 'Set the logfile',
        details: 'Appended to, mode 0600 when it is made; without a name logging ends.',
        run: (_words, text) => this.openLog(text),
      },
      {
        path: 'iplog/ipadd',
        syntax: 'ipaddr/mask',
        help: 'add an ipv4/v6 range',
        run: ([text = '']) => this.add(text),
      },
      {
        path: 'iplog/ipdel',
        syntax: 'ipaddr/mask',
        help: 'del an ipv6/v6 range',
        run: ([text = '']) => this.remove(text),
      },
      {
        path: 'iplog/list',
        help: 'list ip ranges',
        run: () =>
          data(
            [...this.ranges]
              .sort((a, b) => Number(b.isIpv4) - Number(a.isIpv4))
              .map(({ isIpv4, text }) => `  ${isIpv4 ? 'ipv4' : 'ipv6'}: ${text}`),
          ),
      },
      {
        path: 'iplog/setgcint',
        syntax: 'N',
        help: 'change garbage collector interval',
        run: (_words, text) => {
          this.gcIntervalSec = atoi(text);
          return SUCCESS;
        },
      },
      {
        path: 'iplog/setexpire',
        syntax: 'N',
        help: 'change iplog entries expire time',
        run: (_words, text) => {
          this.expireSec = atoi(text);
          return SUCCESS;
        },
      },
      { path: 'iplog/iplist', help: 'list active IP', run: () => listOf(() => true) },
      {
        path: 'iplog/ipport',
        syntax: 'port',
        help: 'list active IP on a port',
        run: (_words, text) => listOf(({ port }) => port === atoi(text)),
      },
      {
        path: 'iplog/ipuser',
        syntax: 'user',
        help: 'list active IP of a user',
        run: ([user = '']) => {
          const uid = userIdOf(user);
          return uid === null
            ? { ...failure('EINVAL'), data: [] }
            : listOf(({ port }) => this.sw.port(port)?.uid === uid);
        },
      },
      {
        path: 'iplog/ipsearch',
        syntax: 'ipaddr',
        help: 'search an IP address',
        run: ([text = '']) => {
          const wanted = parseAddress(text);
          if (wanted === null) return { ...failure('EINVAL'), data: [] };
          return listOf(({ words }) => words.every((word, i) => (word | 0) === (wanted[i]! | 0)));
        },
      },
    ];
  }

  private add(text: string): Reply {
    const range = parseRange(text);
    if (range === null) return failure('EINVAL');
    if (this.ranges.some((each) => each.text === range.text)) return failure('EEXIST');
    if (this.ranges.length === MAX_RANGES) return failure('ENOSPC');
    this.ranges.push(range);
    this.watchers.add(this.hook);
    return SUCCESS;
  }

  private remove(text: string): Reply {
    const range = parseRange(text);
    if (range === null) return failure('EINVAL');
    const at = this.ranges.findIndex((each) => each.text === range.text);
    if (at < 0) return failure('ENOENT');
    this.ranges.splice(at, 1);
    if (this.ranges.length === 0) this.watchers.remove(this.hook);
    return SUCCESS;
  }

  // ---- the log file

  private openLog(path: string): Reply {
    if (path === '') {
      this.closeLog();
      return SUCCESS;
    }
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
      this.closeLog();
      this.logFd = fd;
      this.logFile = path;
      return SUCCESS;
    } catch (error) {
      return failure(failureOf(error, 'EIO').status);
    }
  }

  private closeLog(): void {
    if (this.logFd >= 0) closeSync(this.logFd);
    this.logFd = -1;
    this.logFile = '';
  }

  private writeLog(text: string): void {
    if (this.logFd < 0) return;
    const [, month, day, , time] = /^\w+ (\w+) (\d+) (\d+) ([\d:]+)/.exec(new Date().toString()) ?? [];
    try {
      writeSync(this.logFd, `${month} ${day} ${time} ${text}\n`);
    } catch {
      // The disk is full: the switch matters more than its log.
    }
  }

  // ---- frames

  private frame(port: Port, b: Uint8Array, off: number, len: number): void {
    const tagged = len >= vlanTag.TAGGED_HEADER_LEN && vlanTag.isTagged(b, off);
    const vlan = tagged ? vlanTag.id(b, off) : (port.native?.vlan.id ?? 0);
    const type = tagged ? vlanTag.innerType(b, off) : len >= ethernet.HEADER_LEN ? ethernet.type(b, off) : 0;
    const at = off + (tagged ? vlanTag.TAGGED_HEADER_LEN : ethernet.HEADER_LEN);
    const left = off + len - at;
    const macHi = ethernet.srcHi(b, off);
    const macLo = ethernet.srcLo(b, off);
    if (type === ethernet.TYPE_IPV4 && left >= IPV4_HEADER)
      this.seen(0, 0, MAPPED, i32(b, at + IPV4_SOURCE), port, vlan, macHi, macLo);
    else if (type === ethernet.TYPE_IPV6 && left >= IPV6_HEADER) {
      const s = at + IPV6_SOURCE;
      this.seen(i32(b, s), i32(b, s + 4), i32(b, s + 8), i32(b, s + 12), port, vlan, macHi, macLo);
    }
  }

  private seen(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    from: Port,
    vlan: number,
    macHi: number,
    macLo: number,
  ): void {
    const port = from.number;
    const { ranges } = this;
    let wanted = false;
    for (let i = 0; i < ranges.length && !wanted; i++) wanted = inside(ranges[i]!, w0, w1, w2, w3);
    if (!wanted) return;
    const now = this.clock.now();
    const hash = Math.imul(Math.imul(w0 ^ Math.imul(w1, 31) ^ Math.imul(w2, 961) ^ w3, 0x9e3779b1) ^ port, 31) ^ vlan;
    const chain = this.table.get(hash);
    if (chain !== undefined) {
      for (let i = 0; i < chain.length; i++) {
        const entry = chain[i]!;
        const { words } = entry;
        if (words[0] !== w0 || words[1] !== w1 || words[2] !== w2 || words[3] !== w3) continue;
        if (entry.port !== port || entry.vlan !== vlan) continue;
        if (!this.isOld(entry, now)) {
          entry.seenAt = now;
          return;
        }
        chain.splice(i, 1);
        this.size--;
        break;
      }
    }
    if (this.size >= MAX_ENTRIES && now - this.sweptAt >= this.gcIntervalSec * 1000) this.sweep(now);
    if (this.size >= MAX_ENTRIES) return;
    const entry: Entry = {
      words: [w0, w1, w2, w3],
      port,
      vlan,
      macHi,
      macLo,
      endpoint: from.endpoints.at(-1),
      seenAt: now,
    };
    const known = this.table.get(hash);
    if (known === undefined) this.table.set(hash, [entry]);
    else known.push(entry);
    this.size++;
    this.tellNew(entry);
  }

  private tellNew(entry: Entry): void {
    const { words, port, vlan, macHi, macLo, endpoint } = entry;
    const description = endpoint?.description ?? '';
    const text =
      `${addressText(words)} mac=${macText(macHi, macLo)} port=${port} vlan=${vlan} ` +
      `user=${this.userAt(port)} "${description}"`;
    this.console.event(this.newIp, text);
    this.writeLog(text);
  }

  private userAt(port: number): string {
    return nameOfUser(this.sw.port(port)?.uid ?? -1);
  }

  private isOld(entry: Entry, now: number): boolean {
    return now - entry.seenAt > this.expireSec * 1000 || !this.isPlugged(entry);
  }

  private isPlugged({ port, endpoint }: Entry): boolean {
    return endpoint !== undefined && (this.sw.port(port)?.endpoints.includes(endpoint) ?? false);
  }

  private list(): Entry[] {
    this.sweep(this.clock.now());
    return [...this.table.values()].flat();
  }

  private sweep(now: number): void {
    this.sweptAt = now;
    this.size = 0;
    for (const [hash, chain] of this.table) {
      const alive = chain.filter((entry) => !this.isOld(entry, now));
      this.size += alive.length;
      if (alive.length === 0) this.table.delete(hash);
      else this.table.set(hash, alive);
    }
  }
}
