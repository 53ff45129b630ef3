// A new configuration for the running router: what can be changed is, all of it or nothing.
//
// Forwards that are new are opened before those that are gone are closed; where both are on one port or path the old one
// has to go first, and comes back when something fails. Connections that are open go on whatever happens to the forward
// that they came by. Options that cannot be changed at run time are named.

import { Endpoint } from '../core/address.ts';
import type { Router } from '../router/index.ts';
import { type Forward, formatForward } from './forward.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

/** Something that can be opened and closed again. */
interface Part {
  /** Two parts with the same key are the same. */
  readonly key: string;
  /** Two parts with a place in common cannot be open at once. */
  readonly places: readonly string[];
  readonly text: string;
  open(): Promise<void>;
  /** False when it was not open: the console has closed it. */
  close(): boolean;
}

/** Options that a reload applies; all others of the configuration are compared and named. */
const APPLIED: readonly (keyof SlirpvdeConfig)[] = [
  ...(['forwards', 'unixForwards', 'unixServices', 'hostLoopback', 'quiet', 'verbose'] as const),
  'config',
];

/**
 * Takes the router from one configuration to the other. Rejects with the VdeError of what cannot be opened; the router
 * then is as it was.
 *
 * @returns what was changed and what was not, lines for the log
 */
export async function applyConfig(router: Router, from: SlirpvdeConfig, to: SlirpvdeConfig): Promise<string[]> {
  const [before, after] = [parts(router, from), parts(router, to)];
  const had = new Set(before.map((part) => part.key));
  const has = new Set(after.map((part) => part.key));
  const gone = before.filter((part) => !has.has(part.key));
  const fresh = after.filter((part) => !had.has(part.key));
  const closed = new Set<Part>();
  const done: (() => Promise<void>)[] = [];
  try {
    for (const part of fresh) {
      const places = new Set(part.places);
      for (const old of gone.filter((each) => !closed.has(each) && each.places.some((place) => places.has(place)))) {
        closed.add(old);
        if (old.close()) done.push(() => old.open());
      }
      await part.open();
      done.push(async () => {
        part.close();
      });
    }
  } catch (error) {
    for (const undo of done.reverse()) await undo();
    throw error;
  }
  for (const part of gone) if (!closed.has(part)) part.close();
  const lines = [...gone.map((part) => `closed ${part.text}`), ...fresh.map((part) => `opened ${part.text}`)];
  if (from.hostLoopback !== to.hostLoopback) {
    router.policy.hostLoopback = to.hostLoopback;
    lines.push(`guests ${to.hostLoopback ? 'reach' : 'no longer reach'} the loopback services of this host`);
  }
  const rest = unapplied(from, to);
  if (rest.length > 0) lines.push(`changed, but only used after a restart: ${rest.join(', ')}`);
  return lines;
}

function parts(router: Router, config: SlirpvdeConfig): Part[] {
  const made = (
    kind: string,
    places: readonly string[],
    text: string,
    open: () => Promise<unknown>,
    close: () => boolean,
  ): Part => ({
    key: `${kind} ${text}`,
    places: places.map((place) => `${kind} ${place}`),
    text: `${kind} ${text}`,
    open: async () => {
      await open();
    },
    close,
  });
  return [
    ...config.forwards.map((f) =>
      made(
        f.protocol.toUpperCase(),
        listenPlaces(f),
        formatForward(f),
        () => router.addForward(f),
        () => router.removeForward(f),
      ),
    ),
    ...config.unixForwards.map((f) =>
      made(
        'socket',
        [f.path],
        `${f.path}:${f.guest}`,
        () => router.unixForwards.add(f),
        () => router.unixForwards.remove(f),
      ),
    ),
    ...config.unixServices.map((s) =>
      made(
        'router port',
        [String(s.port)],
        `${s.port}:${s.path}`,
        async () => router.unixForwards.addService(s),
        () => router.unixForwards.removeService(s),
      ),
    ),
  ];
}

/** Each port of a forward; none where any free port does. */
function listenPlaces({ listen, count = 1 }: Forward): string[] {
  if (listen.port === 0) return [];
  return Array.from({ length: count }, (_, i) => `${listen.host} ${listen.port + i}`);
}

/** Names of what differs and is not applied. */
function unapplied(from: SlirpvdeConfig, to: SlirpvdeConfig): string[] {
  return (Object.keys(to) as (keyof SlirpvdeConfig)[]).filter(
    (key) => !APPLIED.includes(key) && comparable(from[key]) !== comparable(to[key]),
  );
}

const comparable = (value: unknown): string =>
  JSON.stringify(value, (_key, v) => (v instanceof Endpoint ? String(v) : v));
