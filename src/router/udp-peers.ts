// Filtering of a UDP mapping: from whom datagrams are let in (RFC 4787 section 5).
//
//   any           from anybody (endpoint-independent, the default as in slirp): whoever learns the port can use it
//   address       from addresses the guest has sent to, whatever their port
//   address-port  from addresses and ports the guest has sent to
//
// A mapping remembers the MAX_PEERS it sent to latest. What is not let in is dropped and counted; it prolongs nothing.

import { Endpoint } from '../core/address.ts';

export type UdpFilter = 'any' | 'address' | 'address-port';

const MAX_PEERS = 256;

/** The peers of one mapping. */
export class UdpPeers {
  private readonly byPort: boolean;
  /** Address, and port where that counts, as text; oldest first. */
  private readonly peers = new Set<string>();
  private readonly latest = new Endpoint();

  constructor(filter: 'address' | 'address-port') {
    this.byPort = filter === 'address-port';
  }

  private keyOf(e: Endpoint): string {
    return `${e.w0},${e.w1},${e.w2},${e.w3},${this.byPort ? e.port : 0}`;
  }

  /** The guest sent to this peer. */
  sent(to: Endpoint): void {
    if (to.same(this.latest)) return;
    this.latest.copy(to);
    const key = this.keyOf(to);
    this.peers.delete(key); // and to the young end again
    if (this.peers.size >= MAX_PEERS) this.peers.delete(this.peers.values().next().value!);
    this.peers.add(key);
  }

  /** Whether a datagram from this peer goes to the guest. */
  admits(from: Endpoint): boolean {
    return from.same(this.latest) || this.peers.has(this.keyOf(from));
  }
}
