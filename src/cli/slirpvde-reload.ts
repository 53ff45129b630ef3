// A new configuration for the running router: what can be changed is, all of it or nothing.
//
// Forwards that are new are opened before those that are gone are closed; where both are on one port or path the old one
// has to go first, and comes back when something fails. Connections that are open go on whatever happens to the forward
// that they came by. Then everything else that can be wrong is looked at (slirpvde-settings.ts, Router.prepareChange),
// and only then is anything of it put in force. Options that cannot be changed at run time are named, each on a line.

import type { Clock } from '../core/clock.ts';
import { VdeError } from '../core/errors.ts';
import { OwnAddresses } from '../host/own-addresses.ts';
import { TftpRoot } from '../host/tftp-root.ts';
import { addressOf } from '../mgmt/forward-text.ts';
import { ConfiguredRules, type Router, type RouterChange } from '../router/index.ts';
import { type ConfigSource, readAgain } from './config-source.ts';
import { type Forward, formatForward } from './forward.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { changedServices, type ServiceParts } from './slirpvde-guest-services.ts';
import { concerns, runTimeChange } from './slirpvde-settings.ts';
import { DISPLAY_PORTS, type Display } from './ways.ts';

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

/** The configuration of a running router. */
export class LiveConfig {
  private readonly router: Router;
  private readonly services: ServiceParts;
  private readonly rules: ConfiguredRules;
  private readonly clock: Clock;
  /** Forwards of X displays, with the ports that were free, by the words of the option. */
  private readonly displays = new Map<string, Forward[]>();
  private readonly source: ConfigSource;
  private latest: Promise<unknown> = Promise.resolve();

  /**
   * @param router    just made from `services.config`; its forwards are opened by `open`
   * @param services  whose configuration is the one in force, here and for whoever reads it there
   * @param source    where another one comes from
   */
  constructor(router: Router, services: ServiceParts, source: ConfigSource) {
    this.router = router;
    this.services = services;
    this.source = source;
    this.rules = new ConfiguredRules(router);
    this.clock = services.wheel.clock;
  }

  /**
   * Opens what the configuration of the start has: forwards, Unix sockets, displays. Rejects with the VdeError of what
   * cannot be opened.
   *
   * @returns the forwards, and those of displays, as they are open
   */
  async open(): Promise<{ forwards: Forward[]; displays: Forward[] }> {
    const { config } = this.services;
    const forwards: Forward[] = [];
    for (const forward of config.forwards) forwards.push((await this.router.addForward(forward)).rule);
    for (const forward of config.unixForwards) await this.router.unixForwards.add(forward);
    for (const service of config.unixServices) this.router.unixForwards.addService(service);
    for (const display of config.displays) await this.openDisplay(display, config.forwardBind);
    return { forwards, displays: [...this.displays.values()].flat() };
  }

  /** See SlirpvdeService. */
  reload(): Promise<string[]> {
    const { resolver, log } = this.services;
    const next = this.latest.then(() => {
      resolver.reread();
      return readAgain(this.source, log, this.services.config, (wanted) => this.change(wanted));
    });
    this.latest = next.catch(() => {});
    return next;
  }

  /**
   * Takes the router to another configuration. Rejects with the VdeError of what cannot be; the router then is as it was.
   *
   * @returns what was changed and what was not, lines for the log
   */
  async change(wanted: SlirpvdeConfig): Promise<string[]> {
    const { router } = this;
    const from = this.services.config;
    const { config: to, changed, kept } = runTimeChange(from, wanted);
    const [before, after] = [this.parts(from), this.parts(to)];
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
      const apply = router.prepareChange(this.routerChange(from, to));
      this.rules.replace(to.rules); // the last that can fail
      apply();
    } catch (error) {
      for (const undo of done.reverse()) await undo();
      throw error;
    }
    for (const part of gone) if (!closed.has(part)) part.close();
    this.services.config = to;
    return [
      ...gone.map((part) => `closed ${part.text}`),
      ...fresh.map((part) => `opened ${part.text}`),
      ...changed.map((option) => `${option}: changed`),
      ...kept.map((option) => `${option}: the old value stays until slirpvde is started again`),
    ];
  }

  private routerChange(from: SlirpvdeConfig, to: SlirpvdeConfig): RouterChange {
    const services = changedServices(this.services, to);
    const { policy } = this.router;
    return {
      hostLoopback: to.hostLoopback,
      restrict: to.restrict,
      hostAddresses: to.noHost ? (policy.hostAddresses ?? new OwnAddresses(this.clock).list) : null,
      udpFilter: to.udpFilter,
      udpTimeouts: to.udpTimeouts,
      ...(services.dns !== undefined && concerns('dns', from, to) ? { dns: services.dns } : {}),
      ...(services.dhcp !== undefined && concerns('dhcp', from, to) ? { dhcp: services.dhcp } : {}),
      ...(services.dhcp6 === undefined ? {} : { dhcp6: services.dhcp6 }),
      ...(services.ra !== undefined && concerns('ra', from, to) ? { ra: services.ra } : {}),
      ...(from.tftp === to.tftp ? {} : { tftp: to.tftp === null ? null : new TftpRoot(to.tftp) }),
    };
  }

  private parts(config: SlirpvdeConfig): Part[] {
    const { router } = this;
    return [
      ...config.forwards.map((f) =>
        part(
          f.protocol.toUpperCase(),
          listenPlaces(f),
          formatForward(f),
          () => router.addForward(f),
          () => router.removeForward(f),
        ),
      ),
      ...config.unixForwards.map((f) =>
        part(
          'socket',
          [f.path],
          `${f.path}:${f.guest}`,
          () => router.unixForwards.add(f),
          () => router.unixForwards.remove(f),
        ),
      ),
      ...config.unixServices.map((s) =>
        part(
          'router port',
          [String(s.port)],
          `${s.port}:${s.path}`,
          async () => router.unixForwards.addService(s),
          () => router.unixForwards.removeService(s),
        ),
      ),
      ...config.displays.map((d) =>
        part(
          'display',
          [],
          `${d.guest} at ${config.forwardBind}`,
          () => this.openDisplay(d, config.forwardBind),
          () => this.closeDisplay(d),
        ),
      ),
    ];
  }

  /** Forwards the first free port of the host to a display of a guest. */
  private async openDisplay({ guest }: Display, bind: string): Promise<void> {
    for (let port = DISPLAY_PORTS.first; port <= DISPLAY_PORTS.last; port++) {
      const listen = addressOf(bind)!;
      listen.port = port;
      const forward: Forward = { protocol: 'tcp', listen, guest };
      try {
        const { rule } = await this.router.addForward(forward);
        this.displays.set(String(guest), [...(this.displays.get(String(guest)) ?? []), rule]);
        return;
      } catch (error) {
        if ((error as Error & { cause?: NodeJS.ErrnoException }).cause?.code !== 'EADDRINUSE') throw error;
      }
    }
    const { first, last } = DISPLAY_PORTS;
    throw new VdeError('ERR_VDE_LISTEN', `no port from ${first} to ${last} is free for the display at ${guest}`);
  }

  private closeDisplay({ guest }: Display): boolean {
    const open = this.displays.get(String(guest)) ?? [];
    const rule = open.pop();
    return rule !== undefined && this.router.removeForward(rule);
  }
}

function part(
  kind: string,
  places: readonly string[],
  text: string,
  open: () => Promise<unknown>,
  close: () => boolean,
): Part {
  return {
    key: `${kind} ${text}`,
    places: places.map((place) => `${kind} ${place}`),
    text: `${kind} ${text}`,
    open: async () => {
      await open();
    },
    close,
  };
}

/** Each port of a forward; none where any free port does. */
function listenPlaces({ listen, count = 1 }: Forward): string[] {
  if (listen.port === 0) return [];
  return Array.from({ length: count }, (_, i) => `${listen.host} ${listen.port + i}`);
}
