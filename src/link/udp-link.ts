// udp://[SRC:]SPORT->DST:DPORT: a wire between two UDP sockets. A datagram is a frame, without a header.
//
// The socket is bound to SPORT and connected to DST: datagrams of others are not taken, which is a filter and no
// authentication. Datagrams that are longer than the path takes are cut by IP.
//
// There is no connection. The link is down from when the other host says that nobody listens at DPORT (ICMP; sending goes
// on, one such answer for each frame at most) until the next frame comes in; it never ends.

import { lookup } from 'node:dns/promises';
import { parseAddress } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory, FrameSink } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { AF_INET, AF_INET6, native, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET } from '../native/native.ts';
import { DescriptorLink } from './descriptor-link.ts';

const RCVBUF = 1 << 20;

export interface UdpWire {
  /** Own address, '' for all; that of the peer; names or addresses, IPv6 without brackets. */
  readonly source: string;
  readonly sourcePort: number;
  readonly peer: string;
  readonly peerPort: number;
}

/** Reads what stands behind `udp://`. Throws ERR_VDE_BAD_ADDRESS. */
export function parseUdpWire(text: string): UdpWire {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d+)->(?:\[([^\]]*)\]|([^:[\]]+)):(\d+)$/.exec(text);
  const [, source6, source = '', sourcePort, peer6, peer = '', peerPort] = match ?? [];
  const ports = [Number(sourcePort), Number(peerPort)] as const;
  if (match === null || ports.some((port) => !(port > 0 && port < 65_536)))
    throw new VdeError(
      'ERR_VDE_BAD_ADDRESS',
      `vde: udp://${text}: expected udp://[ADDRESS:]PORT->ADDRESS:PORT, ports 1 to 65535, IPv6 addresses in []`,
    );
  return { source: source6 ?? source, sourcePort: ports[0], peer: peer6 ?? peer, peerPort: ports[1] };
}

/** Opens a wire. Rejects with ERR_VDE_BAD_ADDRESS, ERR_VDE_LISTEN or ERR_VDE_NO_NATIVE. */
export async function openUdp(wire: UdpWire, memory: FrameMemory, mtu: number): Promise<UdpLink> {
  const source = wire.source === '' ? null : await resolve(wire.source, 0);
  const peer = await resolve(wire.peer, source === null ? 0 : source.length === 4 ? 4 : 6);
  return new UdpLink(wire, peer, source, memory, mtu);
}

/** Bytes of an address or of the address of a name; `family` 0 for any, IPv4 first. */
async function resolve(host: string, family: 0 | 4 | 6): Promise<Uint8Array> {
  try {
    const { address } = await lookup(host, { family, verbatim: false });
    const words = parseAddress(address)!;
    const bytes = new Uint8Array(16);
    for (let i = 0; i < 16; i++) bytes[i] = words[i >> 2]! >>> (24 - 8 * (i & 3));
    return address.includes(':') ? bytes : bytes.subarray(12);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const kind = family === 0 ? '' : ` of IPv${family}`;
    throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: udp: "${host}" has no address${kind}: ${code ?? message}`);
  }
}

export class UdpLink extends DescriptorLink {
  private reached = true;

  /** Used by openUdp. */
  constructor(wire: UdpWire, peer: Uint8Array, source: Uint8Array | null, memory: FrameMemory, mtu: number) {
    super(`udp:${wire.sourcePort}->${wire.peer}:${wire.peerPort}`, mtu, memory);
    this.use(openSocket(wire, peer, source), { onRefused: () => this.reach(false) });
  }

  override get up(): boolean {
    return super.up && this.reached;
  }

  override attach(sink: FrameSink): void {
    super.attach({
      frame: (b, off, len) => {
        if (!this.reached) this.reach(true);
        sink.frame(b, off, len);
      },
      flush: () => sink.flush(),
    });
  }

  /** What is heard of the peer; told from outside of `frame` and `flush`. */
  private reach(yes: boolean): void {
    if (this.reached === yes) return;
    this.reached = yes;
    queueMicrotask(() => {
      if (!this.closed) this.onState?.(yes);
    });
  }
}

function openSocket(wire: UdpWire, peer: Uint8Array, source: Uint8Array | null): number {
  const api = native();
  const fd = api.socket(peer.length === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  api.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, RCVBUF); // best effort
  let status = fd;
  let what = 'make a socket';
  if (status >= 0) {
    status = api.bindInet(fd, source ?? new Uint8Array(peer.length), wire.sourcePort);
    what = `listen at UDP port ${wire.sourcePort}${wire.source === '' ? '' : ` of ${wire.source}`}`;
  }
  if (status >= 0) {
    status = api.connectInet(fd, peer, wire.peerPort);
    what = `send to ${wire.peer} port ${wire.peerPort}`;
  }
  if (status >= 0) return fd;
  if (fd >= 0) api.close(fd);
  const code = errnoName(status);
  const help = code === 'EADDRINUSE' ? '; another program has that port' : '';
  throw new VdeError('ERR_VDE_LISTEN', `vde: udp: cannot ${what}: ${code}${help}`);
}
