// A command line for QEMU as vdeq took it, rewritten to what QEMU takes today.
//
// QEMU knows VDE itself, but the words of old command lines are gone or mean something else: `vlan=` was removed in 3.0,
// -sock was vdeq's own. An old vlan was a hub to which network cards and backends were connected, so:
//
//   one card, one backend     -nic BACKEND,model=,mac=          they are joined directly
//   anything else             -nic hubport,hubid=N,...          each card on the hub N
//                             -netdev BACKEND,id=X -netdev hubport,id=Y,hubid=N,netdev=X    each backend on it
//   a vde without card        -nic vde,...                      gets a card, as -sock always gave one
//
// A command line without -sock and without vde or vlan= in a -net passes as it is, and so does every word that is not
// -net, -sock or -mod: -netdev vde and -nic vde are QEMU's own already.

import { UsageError } from './usage-error.ts';

type Properties = Map<string, string>;

interface Backend {
  readonly type: string;
  readonly properties: Properties;
}

interface Vlan {
  readonly cards: Properties[];
  readonly backends: Backend[];
}

/** Properties that QEMU's vde backend has. */
const VDE_PROPERTIES: readonly string[] = ['sock', 'port', 'group', 'mode', 'id'];
/** Properties of an old card, and their names in -nic. */
const CARD_PROPERTIES: Readonly<Record<string, string>> = {
  model: 'model',
  macaddr: 'mac',
  mac: 'mac',
  name: 'id',
  id: 'id',
};
const MAX_VLANS = 64;

/**
 * Rewrites the words behind the name of the program.
 *
 * @throws UsageError  for what has no counterpart in QEMU; the message names the word
 */
export function rewriteQemu(words: readonly string[]): string[] {
  const { rest, net, socks, mode } = pick(words);
  const old = socks.length > 0 || mode !== null || net.some((value) => /^vde(,|$)|(^|,)vlan=/.test(value));
  if (!old) return [...words];
  const vlans = readVlans(net);
  const bare = vlans.size === 0;
  for (const [i, sock] of socks.entries()) {
    // Each socket of -sock is a network of its own; with -net words the first card is the first socket's, and so on.
    const n = bare ? i : ([...vlans].find(([, vlan]) => vlan.backends.length === 0)?.[0] ?? vlans.size);
    const properties = new Map(sock === '' ? [] : [['sock', sock]]);
    vlanOf(vlans, n, '-sock').backends.push({ type: 'vde', properties });
  }
  if (mode !== null) {
    const all = [...vlans.values()].flatMap(({ backends }) => backends).filter(({ type }) => type === 'vde');
    if (all.length === 0) throw new UsageError('--mod is given, but there is no -net vde and no -sock that it is for');
    for (const { properties } of all) if (!properties.has('mode')) properties.set('mode', mode);
  }
  return [...[...vlans].sort(([a], [b]) => a - b).flatMap(([n, vlan]) => vlanWords(n, vlan)), ...rest];
}

/** Descriptors that words like `fd=3` and `fds=3:4` name: the program must inherit them. */
export function descriptorsOf(words: readonly string[]): number[] {
  const found = new Set<number>();
  for (const word of words) {
    for (const [, list] of word.matchAll(/(?:^|,)(?:vhost)?fds?=([\d:]+)/g)) {
      for (const fd of list!.split(':')) if (fd !== '' && Number(fd) > 2 && Number(fd) < 1024) found.add(Number(fd));
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** Takes -net, -sock and -mod out of the words. */
function pick(words: readonly string[]): { rest: string[]; net: string[]; socks: string[]; mode: string | null } {
  const rest: string[] = [];
  const net: string[] = [];
  const socks: string[] = [];
  let mode: string | null = null;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const name = /^--?(net|sock|mod)$/.exec(word)?.[1];
    if (name === undefined) {
      rest.push(word);
      continue;
    }
    const value = words[++i];
    if (value === undefined) throw new UsageError(`${word} needs a value`);
    if (name === 'net') net.push(value);
    else if (name === 'sock') socks.push(...value.split(','));
    else if (/^[0-7]{1,4}$/.test(value)) mode = value;
    else throw new UsageError(`${word}: '${value}' is not a mode in octal, such as 0700`);
  }
  return { rest, net, socks, mode };
}

function readVlans(net: readonly string[]): Map<number, Vlan> {
  const vlans = new Map<number, Vlan>();
  for (const value of net) {
    const { type, properties } = readProperties(value);
    const text = properties.get('vlan') ?? '0';
    properties.delete('vlan');
    if (!/^\d{1,6}$/.test(text)) throw new UsageError(`-net ${value}: '${text}' is not the number of a vlan`);
    if (type === 'none') continue;
    const vlan = vlanOf(vlans, Number(text), value);
    if (type === 'nic') vlan.cards.push(cardOf(value, properties));
    else vlan.backends.push({ type, properties: type === 'vde' ? vdeOf(value, properties) : properties });
  }
  return vlans;
}

function vlanOf(vlans: Map<number, Vlan>, n: number, what: string): Vlan {
  const found = vlans.get(n) ?? { cards: [], backends: [] };
  vlans.set(n, found);
  if (vlans.size > MAX_VLANS) throw new UsageError(`${what}: more than ${MAX_VLANS} networks`);
  return found;
}

/** `type,key=value,...`; a comma in a value is doubled. */
function readProperties(value: string): { type: string; properties: Properties } {
  const [type = '', ...parts] = value.match(/(?:[^,]|,,)+/g)?.map((part) => part.replaceAll(',,', ',')) ?? [];
  const properties: Properties = new Map();
  for (const part of parts) {
    const equals = part.indexOf('=');
    if (equals < 1) throw new UsageError(`-net ${value}: '${part}' is not name=value`);
    properties.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return { type, properties };
}

function cardOf(value: string, properties: Properties): Properties {
  const card: Properties = new Map();
  for (const [name, text] of properties) {
    const now = CARD_PROPERTIES[name];
    if (now === undefined) {
      const hint = `write -netdev vde,id=X and -device MODEL,netdev=X,${name}=${text} instead`;
      throw new UsageError(`-net ${value}: '${name}' has no counterpart in -nic`, hint);
    }
    card.set(now, text);
  }
  return card;
}

function vdeOf(value: string, properties: Properties): Properties {
  const name = properties.get('name');
  properties.delete('name');
  if (name !== undefined && !properties.has('id')) properties.set('id', name);
  for (const key of properties.keys()) {
    if (!VDE_PROPERTIES.includes(key))
      throw new UsageError(`-net ${value}: QEMU's vde has no '${key}'; it has ${VDE_PROPERTIES.join(', ')}`);
  }
  const port = properties.get('port');
  if (port !== undefined && !/^\d{1,8}$/.test(port)) throw new UsageError(`-net ${value}: '${port}' is not a port`);
  const mode = properties.get('mode');
  if (mode !== undefined && !/^[0-7]{1,4}$/.test(mode))
    throw new UsageError(`-net ${value}: '${mode}' is not a mode in octal`);
  return properties;
}

/** QEMU's words for one vlan. */
function vlanWords(n: number, { cards, backends }: Vlan): string[] {
  const [backend] = backends;
  if (backends.length === 1 && backend !== undefined && cards.length <= 1) {
    const card = cards[0] ?? new Map<string, string>();
    // One name for both, the card's first: -nic has one id.
    if (cards.length === 1 || backend.type === 'vde')
      return ['-nic', written(backend.type, new Map([...backend.properties, ...card]))];
  }
  return [
    ...cards.flatMap((card) => ['-nic', written('hubport', new Map([['hubid', String(n)], ...card]))]),
    ...backends.flatMap(({ type, properties }, i) => {
      const id = properties.get('id') ?? `vlan${n}net${i}`;
      const port: Properties = new Map([
        ['id', `vlan${n}port${i}`],
        ['hubid', String(n)],
        ['netdev', id],
      ]);
      return ['-netdev', written(type, new Map([['id', id], ...properties])), '-netdev', written('hubport', port)];
    }),
  ];
}

const written = (type: string, properties: Properties): string =>
  [type, ...[...properties].map(([name, value]) => `${name}=${value.replaceAll(',', ',,')}`)].join(',');
