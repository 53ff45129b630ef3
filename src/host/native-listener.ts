// A listening TCP socket of the host on the native addon.

import { Endpoint } from '../core/address.ts';
import { errnoName, systemError } from '../native/errno.ts';
import * as n from '../native/native.ts';
import { listenError } from './from-node.ts';
import type { HostListener } from './host-net.ts';
import { putEndpoint } from './native-address.ts';
import type { Reactor, Ready } from './reactor.ts';

/** Connections taken before other sockets have their turn. */
const ACCEPTS = 64;

/** Takes over the descriptor of a connection that `remote` opened. */
export type OnAccept = (fd: number, remote: Endpoint) => void;

export class NativeListener implements HostListener, Ready {
  readonly local = new Endpoint();
  private readonly reactor: Reactor;
  private readonly onAccept: OnAccept;
  private readonly forget: (listener: NativeListener) => void;
  private readonly table = new Int32Array(ACCEPTS * n.ACCEPT_CELLS);
  /** -1: closed. */
  private fd: number;

  /** Listens; throws ERR_VDE_LISTEN. */
  constructor(
    reactor: Reactor,
    at: Endpoint,
    backlog: number,
    onAccept: OnAccept,
    forget: (listener: NativeListener) => void,
  ) {
    const { api, address: a } = reactor;
    this.reactor = reactor;
    this.onAccept = onAccept;
    this.forget = forget;
    const fd = putEndpoint(api, a, at) ? api.tcpListen(a, backlog) : -19; // ENODEV: no such interface
    if (fd < 0) throw listenError('TCP', at, errnoName(fd), systemError(fd, 'listen', String(at)));
    this.fd = fd;
    reactor.add(fd, this);
    api.tcpName(fd, a);
    this.local.set(a[0]!, a[1]!, a[2]!, a[3]!, a[n.Cell.Port]!);
  }

  ready(): void {
    const { api } = this.reactor;
    const count = api.tcpAccept(this.fd, this.table);
    for (let i = 0; i < count; i++) {
      const at = i * n.ACCEPT_CELLS;
      const [fd, w0, w1, w2, w3, port] = this.table.subarray(at, at + n.ACCEPT_CELLS);
      if (this.fd >= 0) this.onAccept(fd!, new Endpoint().set(w0!, w1!, w2!, w3!, port!));
      else api.reactorClose(fd!, true); // closed while the connections before it were told
    }
    if (count === ACCEPTS && this.fd >= 0) api.reactorRearm(this.fd);
  }

  close(): void {
    if (this.fd < 0) return;
    this.forget(this);
    this.reactor.close(this.fd, false);
    this.fd = -1;
  }
}
