// Unix stream sockets of the host, both ways.
//
//   service   guest -> gateway:PORT -> the socket at PATH on the host         slirpvde -x PORT:PATH
//   forward   client -> the socket at PATH on the host -> guest:port          slirpvde -L PATH:GUEST:PORT
//
// Both are ordinary TCP flows whose host side has no address: a client of a forward appears as the gateway, with a free
// port. A service is looked up by port alone and before the policy: whoever names a socket wants guests to reach it,
// with or without the host's loopback. What a guest does can neither add nor change one.

import type { Endpoint } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { Packet } from '../core/packet.ts';
import type { HostListener } from '../host/host-net.ts';
import type { TcpConnection } from '../tcp/index.ts';
import type { RouterContext } from './context.ts';
import type { TcpNat } from './tcp-nat.ts';

export interface UnixService {
  /** Port at the gateway's address. */
  readonly port: number;
  /** Absolute path of a listening stream socket; looked for at each connection. */
  readonly path: string;
}

export interface UnixForward {
  /** Absolute path that is listened at. */
  readonly path: string;
  readonly guest: Endpoint;
}

/** Services, and forwards, at once. */
const MAX_SOCKETS = 64;

const refuse = (why: string): never => {
  throw new VdeError('ERR_VDE_BAD_FORWARD', why);
};

export class UnixForwards {
  private readonly context: RouterContext;
  private readonly tcp: TcpNat;
  private readonly services = new Map<number, string>();
  private readonly forwards = new Map<string, { readonly forward: UnixForward; readonly listener: HostListener }>();

  constructor(context: RouterContext, tcp: TcpNat) {
    this.context = context;
    this.tcp = tcp;
  }

  /** Throws ERR_VDE_BAD_FORWARD when the port leads to a socket already, or there are too many. */
  addService(service: UnixService): void {
    const taken = this.services.get(service.port);
    if (taken !== undefined) refuse(`port ${service.port} of the router leads to ${taken}`);
    if (this.services.size >= MAX_SOCKETS) refuse(`no more than ${MAX_SOCKETS} ports lead to Unix sockets`);
    this.services.set(service.port, service.path);
  }

  /** Connections that are open go on. */
  removeService(service: UnixService): boolean {
    return this.services.delete(service.port);
  }

  /**
   * Rejects with ERR_VDE_LISTEN or ERR_VDE_PATH_TOO_LONG, with ERR_VDE_BAD_FORWARD when the guest cannot be one of this
   * network or there are too many.
   */
  async add(forward: UnixForward): Promise<void> {
    const { w0, w1, w2, w3, host } = forward.guest;
    if (!this.context.ip.own.isGuest(w0, w1, w2, w3)) refuse(`${host} is not the address of a guest`);
    if (this.forwards.size >= MAX_SOCKETS) refuse(`no more than ${MAX_SOCKETS} forwards of Unix sockets`);
    const listener = await this.context.host.listenUnix(forward.path, (s) => this.tcp.openInward(s, forward.guest));
    this.forwards.set(forward.path, { forward, listener });
  }

  /** Removes the socket; connections that are open go on. */
  remove(forward: UnixForward): boolean {
    this.forwards.get(forward.path)?.listener.close();
    return this.forwards.delete(forward.path);
  }

  /** What is open, in the order in which it was added. */
  list(): { readonly forwards: readonly UnixForward[]; readonly services: readonly UnixService[] } {
    return {
      forwards: [...this.forwards.values()].map(({ forward }) => forward),
      services: [...this.services].map(([port, path]) => ({ port, path })),
    };
  }

  /** Takes a guest's connection to the gateway when there is a service at its port. */
  connection(conn: TcpConnection, p: Packet): boolean {
    const path = this.services.get(conn.local.port);
    if (path === undefined || !this.context.ip.own.isGateway(p.dst0, p.dst1, p.dst2, p.dst3)) return false;
    this.tcp.openUnix(conn, p, path);
    return true;
  }

  close(): void {
    for (const { listener } of this.forwards.values()) listener.close();
    this.forwards.clear();
  }
}
