// Which server to ask next: the host's list without ourselves, and who did not answer lately.

import type { Endpoint } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { DnsQuery } from './dns-query.ts';
import type { UpstreamList } from './resolv-conf.ts';

/** How long a server that did not answer is asked last. */
export const BAD_MS = 30_000;

export class DnsServers {
  /** May change at run time: queries under way go on with the new ones. */
  upstreams: UpstreamList;
  private readonly self: readonly Endpoint[];
  private readonly clock: Clock;
  /** The list last seen; what of it is asked, and until when each of these is asked last. */
  private seen: readonly Endpoint[] = [];
  private usable: readonly Endpoint[] = [];
  private badUntil: number[] = [];

  constructor(upstreams: UpstreamList, self: readonly Endpoint[], clock: Clock) {
    this.upstreams = upstreams;
    this.self = self;
    this.clock = clock;
  }

  /** The servers to ask; the same array until the configuration changes. */
  list(): readonly Endpoint[] {
    const list = this.upstreams.servers();
    if (list !== this.seen) {
      this.seen = list;
      this.usable = list.filter((s) => !this.isSelf(s));
      this.badUntil = this.usable.map(() => 0);
    }
    return this.usable;
  }

  /** Servers of the configuration that are never asked, because they are this forwarder. */
  refused(): readonly Endpoint[] {
    this.list();
    return this.seen.filter((s) => this.isSelf(s));
  }

  /** The first server of the query's list not yet asked that is not known to be bad, or else the first not yet asked. */
  next(q: DnsQuery): Endpoint | null {
    const now = this.clock.now();
    let fallback: Endpoint | null = null;
    for (let i = 0; i < q.servers.length; i++) {
      const server = q.servers[i]!;
      if (q.tried(server)) continue;
      if (q.servers !== this.usable || this.badUntil[i]! <= now) return server;
      fallback ??= server;
    }
    return fallback;
  }

  /** The server answered. */
  good(server: Endpoint): void {
    this.mark(server, 0);
  }

  /** The server did not answer, or cannot be reached. */
  bad(server: Endpoint): void {
    this.upstreams.suspect();
    this.mark(server, this.clock.now() + BAD_MS);
  }

  private mark(server: Endpoint, until: number): void {
    for (let i = 0; i < this.usable.length; i++) if (this.usable[i]!.same(server)) this.badUntil[i] = until;
  }

  private isSelf(server: Endpoint): boolean {
    return this.self.some((own) => own.same(server));
  }
}
