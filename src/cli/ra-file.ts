// The file of -R: router advertisements in the words of radvd.conf(5), or of slirpvde6's own form.
//
//   interface vd0 {                             [vd0]
//     MaxRtrAdvInterval 300;                    MaxRtrAdvInterval = 300
//     prefix 2001:db8::/64 {                    AddPrefix = 2001:db8::/64 , AdvOnLinkFlag = on
//       AdvValidLifetime 86400;
//     };
//     RDNSS 2001:db8::1 { AdvRDNSSLifetime 900; };
//     DNSSL lab.test { };
//     nat64prefix 64:ff9b::/96 { AdvValidLifetime 900; };
//   };
//
// There is one network, so one section, whatever its name. A file is tokens (words, and the signs { } ; = , and the ends of
// lines where they matter); both forms fill the same tables of keys. What is not understood is an error that names file
// and line: a typing error in a file of lifetimes should not wait for the day when it is missed.

import { VdeError } from '../core/errors.ts';
import { type Ipv6Network, parseIpv6Network } from '../core/ipv6-network.ts';
import { DEFAULT_PREFERRED_SEC, DEFAULT_VALID_SEC, RA_DEFAULTS, type RaSettings } from '../services/index.ts';
import {
  INFINITE_SEC,
  PREF64_MAX_SEC,
  type PrefixInformation,
  ROUTER_LIFETIME_MAX_SEC,
  type Words,
} from '../wire/router-advert.ts';
import { isDomain } from './slirpvde-services.ts';

const MAX_FILE_LINES = 10_000;
const MAX_ITEMS = 32;
// RFC 4861 section 6.2.1
const INTERVAL_MAX: readonly [number, number] = [4, 1800];
const INTERVAL_MIN_SEC = 3;
const REACHABLE_MAX_MS = 3_600_000;

interface Token {
  readonly text: string;
  readonly line: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

class Reader {
  readonly path: string;
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(path: string, tokens: readonly Token[]) {
    this.path = path;
    this.tokens = tokens;
  }

  fail(why: string, token: Token | null = this.tokens[Math.min(this.at, this.tokens.length) - 1] ?? null): never {
    throw new VdeError('ERR_VDE_BAD_OPTION', `${this.path}:${token?.line ?? 1}: ${why}`);
  }

  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  peek(): string {
    return this.tokens[this.at]?.text ?? '';
  }

  next(what: string): Token {
    const token = this.tokens[this.at];
    if (token === undefined) return this.fail(`the file ends where ${what} was expected`);
    this.at++;
    return token;
  }

  expect(text: string, after: string): void {
    const token = this.next(`'${text}'`);
    if (token.text === text) return;
    const wanted = text === '\n' ? 'the end of the line' : `'${text}'`;
    this.fail(`${wanted} is missing behind ${after}, before '${shown(token.text)}'`, token);
  }

  skip(text: string): boolean {
    if (this.peek() !== text) return false;
    this.at++;
    return true;
  }
}

const shown = (text: string): string => (text === '\n' ? 'the end of the line' : text);

/** Words, signs, and the ends of lines where `lines` says that they count; `#` begins a comment. */
function tokensOf(text: string, lines: boolean): Token[] {
  const out: Token[] = [];
  for (const [i, row] of text.split('\n').entries()) {
    for (const [word] of row.replace(/#.*/, '').matchAll(/[{};=,[\]]|[^\s{};=,[\]]+/g)) {
      out.push({ text: word, line: i + 1 });
    }
    if (lines) out.push({ text: '\n', line: i + 1 });
  }
  return out;
}

// Keys and what their values mean.

type Value = (r: Reader, token: Token, key: string) => number | boolean;

const flag: Value = (r, token, key) => {
  const word = token.text.toLowerCase();
  if (['on', 'yes', 'true', '1'].includes(word)) return true;
  if (['off', 'no', 'false', '0'].includes(word)) return false;
  return r.fail(`${key} is 'on' or 'off', not '${shown(token.text)}'`, token);
};

const number =
  (min: number, max: number, infinite = false): Value =>
  (r, token, key) => {
    if (infinite && token.text.toLowerCase() === 'infinity') return INFINITE_SEC;
    const value = /^\d{1,10}(\.\d{1,3})?$/.test(token.text) ? Number(token.text) : -1;
    if (value >= min && value <= max) return value;
    return r.fail(`${key} is a number from ${min} to ${max}, not '${shown(token.text)}'`, token);
  };

interface Key {
  readonly field: keyof RaSettings;
  readonly value: Value;
}

const KEYS: Readonly<Record<string, Key>> = {
  advsendadvert: { field: 'advSendAdvert', value: flag },
  unicastonly: { field: 'unicastOnly', value: flag },
  maxrtradvinterval: { field: 'maxRtrAdvIntervalSec', value: number(...INTERVAL_MAX) },
  minrtradvinterval: { field: 'minRtrAdvIntervalSec', value: number(INTERVAL_MIN_SEC, 1350) },
  mindelaybetweenras: { field: 'minDelayBetweenRasSec', value: number(0.03, 60) },
  advmanagedflag: { field: 'advManagedFlag', value: flag },
  advotherconfigflag: { field: 'advOtherConfigFlag', value: flag },
  advlinkmtu: { field: 'advLinkMtu', value: number(0, 65_535) },
  advreachabletime: { field: 'advReachableTimeMs', value: number(0, REACHABLE_MAX_MS) },
  advretranstimer: { field: 'advRetransTimerMs', value: number(0, 0xffffffff) },
  advcurhoplimit: { field: 'advCurHopLimit', value: number(0, 255) },
  advdefaultlifetime: { field: 'advDefaultLifetimeSec', value: number(0, ROUTER_LIFETIME_MAX_SEC) },
  advsourcelladdress: { field: 'advSourceLlAddress', value: flag },
};

const MIN_LINK_MTU = 1280;
const seconds = number(0, INFINITE_SEC - 1, true);

/** Keys of a prefix, with slirpvde6's names. */
const PREFIX_KEYS: Readonly<Record<string, { field: keyof PrefixInformation; value: Value }>> = {
  advonlink: { field: 'onLink', value: flag },
  advonlinkflag: { field: 'onLink', value: flag },
  advautonomous: { field: 'autonomous', value: flag },
  advautonomousflag: { field: 'autonomous', value: flag },
  advvalidlifetime: { field: 'validSec', value: seconds },
  advpreferredlifetime: { field: 'preferredSec', value: seconds },
};

/** What is collected while a file is read. */
class Section {
  readonly settings: Mutable<RaSettings> = { ...RA_DEFAULTS };
  readonly prefixes: PrefixInformation[] = [];
  readonly rdnss: { servers: Words[]; lifetimeSec: number }[] = [];
  readonly dnssl: { names: string[]; lifetimeSec: number }[] = [];
  readonly pref64: { prefix: Words; prefixLen: number; lifetimeSec: number }[] = [];
  readonly given = new Set<keyof RaSettings>();

  set(r: Reader, key: Token, value: Token): void {
    const known = KEYS[key.text.toLowerCase()];
    if (known === undefined) r.fail(`'${shown(key.text)}' is not a setting of advertisements`, key);
    const read = known.value(r, value, key.text);
    (this.settings as unknown as Record<string, number | boolean>)[known.field] = read;
    this.given.add(known.field);
    if (known.field === 'advLinkMtu' && read !== 0 && Number(read) < MIN_LINK_MTU) {
      r.fail(`${key.text} is 0 or at least ${MIN_LINK_MTU} (RFC 8200 section 5), not ${read}`, value);
    }
  }

  /** The settings with the defaults that depend on others (RFC 4861 section 6.2.1). */
  finish(r: Reader): RaSettings {
    const s = this.settings;
    const max = s.maxRtrAdvIntervalSec;
    if (!this.given.has('minRtrAdvIntervalSec')) s.minRtrAdvIntervalSec = Math.max(INTERVAL_MIN_SEC, max / 3);
    if (!this.given.has('advDefaultLifetimeSec')) s.advDefaultLifetimeSec = Math.ceil(3 * max);
    if (s.minRtrAdvIntervalSec > 0.75 * max && max >= 9)
      r.fail('MinRtrAdvInterval is at most ¾ of MaxRtrAdvInterval', null);
    if (s.advDefaultLifetimeSec !== 0 && s.advDefaultLifetimeSec < max) {
      r.fail('AdvDefaultLifetime is 0 or at least MaxRtrAdvInterval', null);
    }
    const lifetime = (sec: number): number => (sec < 0 ? Math.ceil(3 * max) : sec);
    const timed = <T extends { lifetimeSec: number }>(list: readonly T[]): T[] =>
      list.map((each) => ({ ...each, lifetimeSec: lifetime(each.lifetimeSec) }));
    return {
      ...s,
      prefixes: this.prefixes,
      rdnss: this.rdnss.length > 0 ? timed(this.rdnss) : null,
      dnssl: this.dnssl.length > 0 ? timed(this.dnssl) : null,
      pref64: this.pref64.length > 0 ? timed(this.pref64) : null,
    };
  }
}

/** A lifetime that was not written: three times the interval, once that is known. */
const UNSAID = -1;

function room(r: Reader, list: readonly unknown[], token: Token): void {
  if (list.length >= MAX_ITEMS) r.fail(`more than ${MAX_ITEMS} of a kind`, token);
}

function networkAt(r: Reader, token: Token): Ipv6Network {
  try {
    return parseIpv6Network(token.text, 64);
  } catch (error) {
    if (error instanceof VdeError) return r.fail(`'${shown(token.text)}' is not an IPv6 prefix`, token);
    throw error;
  }
}

const newPrefix = ({ network, prefixLen }: Ipv6Network): Mutable<PrefixInformation> => ({
  prefix: network,
  prefixLen,
  onLink: true,
  autonomous: prefixLen === 64,
  validSec: DEFAULT_VALID_SEC,
  preferredSec: DEFAULT_PREFERRED_SEC,
});

function setPrefix(r: Reader, prefix: Mutable<PrefixInformation>, key: Token, value: Token): void {
  const known = PREFIX_KEYS[key.text.toLowerCase()];
  if (known === undefined) r.fail(`'${shown(key.text)}' is not a setting of a prefix`, key);
  (prefix as Record<string, unknown>)[known.field] = known.value(r, value, key.text);
}

function addPrefix(r: Reader, section: Section, prefix: PrefixInformation, token: Token): void {
  room(r, section.prefixes, token);
  if (prefix.preferredSec > prefix.validSec) {
    r.fail('AdvPreferredLifetime is at most AdvValidLifetime (RFC 4861 section 4.6.2)', token);
  }
  if (prefix.autonomous && prefix.prefixLen !== 64) {
    r.fail('only prefixes of 64 bits are for autonomous addresses (RFC 4291 section 2.5.4)', token);
  }
  section.prefixes.push(prefix);
}

// radvd's form.

/** `{ KEY VALUE; ... }` and an optional `;`; each pair is given to `take`. A block may be `;` alone. */
function block(r: Reader, what: string, take: (key: Token, value: Token) => void): void {
  if (r.skip(';')) return;
  r.expect('{', what);
  while (!r.skip('}')) {
    const key = r.next("'}'");
    const value = r.next(`the value of ${key.text}`);
    r.expect(';', `${key.text} ${value.text}`);
    take(key, value);
  }
  r.skip(';');
}

/** Words up to the block; at least one. */
function wordsBefore(r: Reader, key: Token): Token[] {
  const words: Token[] = [];
  while (r.peek() !== '{' && r.peek() !== ';') words.push(r.next("'{'"));
  return words.length > 0 ? words : r.fail(`${key.text} names nothing`, key);
}

function lifetimeBlock(r: Reader, key: Token, name: string, max: number): number {
  let lifetimeSec = UNSAID;
  block(r, key.text, (k, value) => {
    if (k.text.toLowerCase() !== name) r.fail(`'${shown(k.text)}' is not a setting of ${key.text}`, k);
    lifetimeSec = Math.min(Number(seconds(r, value, k.text)), max);
  });
  return lifetimeSec;
}

function readInterface(r: Reader, section: Section): void {
  while (!r.skip('}')) {
    const key = r.next("'}'");
    switch (key.text.toLowerCase()) {
      case 'prefix': {
        const token = r.next('a prefix');
        const prefix = newPrefix(networkAt(r, token));
        block(r, `prefix ${token.text}`, (k, value) => setPrefix(r, prefix, k, value));
        addPrefix(r, section, prefix, token);
        break;
      }
      case 'rdnss': {
        room(r, section.rdnss, key);
        const servers = wordsBefore(r, key).map((token) => {
          const { address, prefixLen } = networkAt(r, { ...token, text: `${token.text}/128` });
          return prefixLen === 128 ? address : r.fail(`'${token.text}' is not an address`, token);
        });
        section.rdnss.push({ servers, lifetimeSec: lifetimeBlock(r, key, 'advrdnsslifetime', INFINITE_SEC) });
        break;
      }
      case 'dnssl': {
        room(r, section.dnssl, key);
        const names = wordsBefore(r, key).map((token) =>
          isDomain(token.text) ? token.text : r.fail(`'${token.text}' is not a domain name`, token),
        );
        section.dnssl.push({ names, lifetimeSec: lifetimeBlock(r, key, 'advdnssllifetime', INFINITE_SEC) });
        break;
      }
      case 'nat64prefix': {
        room(r, section.pref64, key);
        const token = r.next('a prefix');
        const { network, prefixLen } = networkAt(r, token);
        if (![32, 40, 48, 56, 64, 96].includes(prefixLen)) {
          r.fail(`the prefix of a translator has 32, 40, 48, 56, 64 or 96 bits, not ${prefixLen} (RFC 8781)`, token);
        }
        const lifetimeSec = lifetimeBlock(r, key, 'advvalidlifetime', PREF64_MAX_SEC);
        section.pref64.push({ prefix: network, prefixLen, lifetimeSec });
        break;
      }
      default: {
        const value = r.next(`the value of ${key.text}`);
        section.set(r, key, value);
        r.expect(';', `${key.text} ${value.text}`);
      }
    }
  }
  r.skip(';');
}

function readRadvd(r: Reader): RaSettings {
  const section = new Section();
  r.expect('interface', 'the beginning of the file');
  const name = r.next('the name of an interface');
  r.expect('{', `interface ${name.text}`);
  readInterface(r, section);
  if (!r.done) r.fail('there is one network: a second section means nothing', r.next('nothing'));
  return section.finish(r);
}

// slirpvde6's form: a line for each setting.

function readLines(r: Reader): RaSettings {
  const section = new Section();
  r.expect('[', 'the beginning of the file');
  r.next('the name of a section');
  r.expect(']', 'the name of the section');
  while (!r.done) {
    const key = r.next('a setting');
    if (key.text === '\n') continue;
    if (key.text === '[') r.fail('there is one network: a second section means nothing', key);
    r.expect('=', key.text);
    const value = r.next(`the value of ${key.text}`);
    if (key.text.toLowerCase() === 'addprefix') {
      const prefix = newPrefix(networkAt(r, value));
      while (r.skip(',')) {
        const k = r.next('a setting of the prefix');
        r.expect('=', k.text);
        setPrefix(r, prefix, k, r.next(`the value of ${k.text}`));
      }
      addPrefix(r, section, prefix, value);
    } else {
      section.set(r, key, value);
    }
    r.expect('\n', `${key.text} = ${value.text}`);
  }
  return section.finish(r);
}

/**
 * Reads the text of a file.
 *
 * @param path  for messages
 * @throws VdeError  ERR_VDE_BAD_OPTION, beginning with `PATH:LINE: `
 */
export function parseRaFile(path: string, text: string): RaSettings {
  if (text.split('\n').length > MAX_FILE_LINES) {
    throw new VdeError('ERR_VDE_BAD_OPTION', `${path}: more than ${MAX_FILE_LINES} lines: this is something else`);
  }
  const lines = /^\s*(#.*\n\s*)*\[/.test(text);
  let tokens = tokensOf(text, lines);
  if (lines) tokens = tokens.slice(tokens.findIndex((token) => token.text === '['));
  if (tokens.length === 0) throw new VdeError('ERR_VDE_BAD_OPTION', `${path}:1: the file says nothing`);
  const reader = new Reader(path, tokens);
  return lines ? readLines(reader) : readRadvd(reader);
}
