// The HostNet of real sockets. Where the native addon can be loaded TCP and datagram sockets are its own: they hear of ICMP
// errors and cost less. Elsewhere, and with VDENET_PORTABLE=1 in the environment, they are Node's. Unix sockets are Node's
// always; ping sockets need the addon.
//
// Here are the listeners and the list of what is open; native-tcp.ts, node-tcp.ts, native-udp.ts, node-udp.ts and
// ping-socket.ts hold one socket each.
// After close() nothing keeps the process alive; new sockets fail with ECANCELED, and openPing gives null.

import * as net from 'node:net';
import { Endpoint } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { listenUnixStream } from '../native/unix-server.ts';
import { errnoOf, listenError, setFromText } from './from-node.ts';
import type {
  HostListener,
  HostNet,
  HostPing,
  HostPingUser,
  HostTcp,
  HostTcpUser,
  HostUdp,
  HostUdpUser,
} from './host-net.ts';
import { NativeListener } from './native-listener.ts';
import { NativeTcp } from './native-tcp.ts';
import { NativeUdp, UdpWire } from './native-udp.ts';
import { NodeTcp } from './node-tcp.ts';
import { NodeUdp } from './node-udp.ts';
import { PingSockets } from './ping-socket.ts';
import { createRandom } from './random.ts';
import { type Reactor, sharedReactor } from './reactor.ts';
import { bindLike } from './udp-port.ts';

/** Connections that the kernel holds until they are accepted; it takes less when net.core.somaxconn says so. */
const BACKLOG = 511;

export interface NodeHostNetOptions {
  /** Ping sockets; without it `pingProblem` says that they are switched off. Default true. */
  ping?: boolean;
  /** TCP and datagram sockets of the native addon where it can be loaded; false: Node's own. */
  native?: boolean;
}

export function createNodeHostNet(options: NodeHostNetOptions = {}): HostNet {
  return new NodeHostNet(options);
}

/** Whatever is open and must be closed with the HostNet. */
interface Open {
  close(): void;
}

class Listener implements HostListener {
  readonly local = new Endpoint();
  private readonly server: net.Server;
  private readonly forget: (listener: Listener) => void;
  /** Ends a listen() that is under way. */
  private cancel: (() => void) | null = null;

  constructor(
    accept: (socket: HostTcp) => void,
    openTcp: (socket: net.Socket) => NodeTcp | null,
    forget: (listener: Listener) => void,
  ) {
    this.forget = forget;
    this.server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      const tcp = openTcp(socket);
      if (tcp !== null) accept(tcp);
    });
  }

  listen(at: Endpoint): Promise<HostListener> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => {
        this.cancel = null;
        this.close();
        reject(listenError('TCP', at, errnoOf(error), error));
      };
      this.cancel = () => reject(listenError('TCP', at, 'ECANCELED'));
      this.server.once('error', onError);
      this.server.listen(
        { host: at.host, port: at.port, backlog: BACKLOG, ipv6Only: !at.isIpv4, exclusive: true },
        () => {
          this.cancel = null;
          this.server.off('error', onError);
          // From now on an error is an accept that failed (EMFILE): that connection is lost, the listener goes on.
          this.server.on('error', () => {});
          const bound = this.server.address() as net.AddressInfo;
          setFromText(this.local, bound.address, bound.port);
          resolve(this);
        },
      );
    });
  }

  close(): void {
    this.forget(this);
    this.server.close();
    this.cancel?.();
    this.cancel = null;
  }
}

/** A listener at a Unix path; made once it listens. */
class UnixListener implements HostListener {
  readonly local = new Endpoint();
  private readonly server: net.Server;
  private readonly forget: (listener: UnixListener) => void;

  constructor(server: net.Server, forget: (listener: UnixListener) => void) {
    this.server = server;
    this.forget = forget;
  }

  close(): void {
    this.forget(this);
    this.server.close();
  }
}

class NodeHostNet implements HostNet {
  private readonly tcps = new Set<HostTcp>();
  private readonly others = new Set<Open>();
  private readonly pings: PingSockets;
  /** Null: sockets are Node's own. */
  private readonly reactor: Reactor | null;
  private readonly wire: UdpWire | null;
  private readonly random = createRandom();
  private closed = false;

  constructor(options: NodeHostNetOptions) {
    this.pings = new PingSockets(options.ping ?? true);
    const wanted = options.native ?? process.env.VDENET_PORTABLE !== '1';
    this.reactor = wanted ? sharedReactor() : null;
    this.wire = this.reactor === null ? null : new UdpWire(this.reactor);
  }

  get pingProblem(): string | null {
    return this.pings.problem;
  }

  connectTcp(to: Endpoint, user: HostTcpUser, ttl = 0): HostTcp {
    const { reactor } = this;
    if (reactor !== null) {
      if (this.closed) return NativeTcp.refused(reactor, to, user, 'ECANCELED');
      const tcp = NativeTcp.connect(reactor, to, user, ttl, this.forgetTcp);
      this.tcps.add(tcp);
      return tcp;
    }
    const tcp = NodeTcp.connect(to, user, this.forgetTcp);
    if (this.closed) tcp.cancel('ECANCELED');
    else this.tcps.add(tcp);
    return tcp;
  }

  listenTcp(at: Endpoint, accept: (socket: HostTcp) => void): Promise<HostListener> {
    const where = new Endpoint().copy(at);
    if (this.closed) return Promise.reject(listenError('TCP', where, 'ECANCELED'));
    if (this.reactor !== null) return this.listenNative(this.reactor, where, accept);
    const listener = new Listener(accept, this.openTcp, this.forgetOther);
    this.others.add(listener);
    return listener.listen(where);
  }

  private async listenNative(reactor: Reactor, at: Endpoint, accept: (socket: HostTcp) => void): Promise<HostListener> {
    const onAccept = (fd: number, remote: Endpoint): void => {
      const tcp = NativeTcp.accepted(reactor, fd, remote, this.forgetTcp);
      this.tcps.add(tcp);
      accept(tcp);
    };
    const listener = new NativeListener(reactor, at, BACKLOG, onAccept, this.forgetOther);
    this.others.add(listener);
    await null; // as with Node's, which listens a tick later: a close() in between fails it
    if (this.closed) throw listenError('TCP', at, 'ECANCELED');
    return listener;
  }

  connectUnix(path: string, user: HostTcpUser): HostTcp {
    const tcp = NodeTcp.connectUnix(path, user, this.forgetTcp);
    if (this.closed) tcp.cancel('ECANCELED');
    else this.tcps.add(tcp);
    return tcp;
  }

  async listenUnix(path: string, accept: (socket: HostTcp) => void): Promise<HostListener> {
    const server = await listenUnixStream(path, { allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const tcp = NodeTcp.acceptedUnix(path, socket, this.forgetTcp);
      this.tcps.add(tcp);
      accept(tcp);
    });
    const listener = new UnixListener(server, this.forgetOther);
    if (this.closed) {
      listener.close();
      throw new VdeError('ERR_VDE_LISTEN', `cannot listen at ${path}: the router is shutting down`);
    }
    this.others.add(listener);
    return listener;
  }

  openUdp(family: 4 | 6, preferredPort: number, user: HostUdpUser): HostUdp {
    const udp = this.newUdp(family, user);
    if (this.closed) {
      udp.failLater('ECANCELED', null);
      return udp;
    }
    this.others.add(udp);
    const error = bindLike(preferredPort, this.random, (port) => udp.bind(port));
    if (error !== null) udp.failLater(errnoOf(error), null);
    return udp;
  }

  async listenUdp(at: Endpoint, user: HostUdpUser): Promise<HostUdp> {
    if (this.closed) throw listenError('UDP', at, 'ECANCELED');
    const udp = this.newUdp(at.isIpv4 ? 4 : 6, user);
    const error = udp.bind(at.port, at.host);
    if (error !== null) {
      udp.close();
      throw listenError('UDP', at, errnoOf(error), error);
    }
    this.others.add(udp);
    return udp;
  }

  private newUdp(family: 4 | 6, user: HostUdpUser): NativeUdp | NodeUdp {
    if (this.wire === null) return new NodeUdp(family, user, this.forgetOther);
    return new NativeUdp(this.wire, family, user, this.forgetOther);
  }

  openPing(to: Endpoint, user: HostPingUser): HostPing | null {
    return this.pings.open(to, user);
  }

  defer(run: () => void): void {
    if (this.reactor !== null) this.reactor.defer(run);
    else setImmediate(run);
  }

  flush(): void {
    this.wire?.flush();
  }

  close(): void {
    this.closed = true;
    for (const tcp of this.tcps) tcp.reset();
    for (const other of this.others) other.close();
    this.pings.close();
  }

  private readonly forgetTcp = (tcp: HostTcp): void => {
    this.tcps.delete(tcp);
  };

  private readonly forgetOther = (other: Open): void => {
    this.others.delete(other);
  };

  private readonly openTcp = (socket: net.Socket): NodeTcp | null => {
    const tcp = NodeTcp.accepted(socket, this.forgetTcp);
    if (tcp !== null) this.tcps.add(tcp);
    return tcp;
  };
}
