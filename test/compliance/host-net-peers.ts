// The other ends that the HostNet compliance tests talk to: plain servers and sockets of Node on loopback.

import { createHash } from 'node:crypto';
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as net from 'node:net';
import { networkInterfaces } from 'node:os';
import type { ExecutionContext } from 'ava';
import { type Endpoint, parseEndpoint } from '../../src/core/address.ts';
import type { HostNet } from '../../src/host/host-net.ts';

/** Gives a HostNet that is closed with the test. */
export type OpenHost = (t: ExecutionContext) => HostNet;

export const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some((a) => a.address === '::1'));
export const LOOPBACKS = hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
export const MB = 1_000_000;
/** More than the kernel's send and receive buffers of one loopback connection hold together. */
export const FLOOD_LEN = 24 * MB;

export const bytesOf = (text: string): Buffer => Buffer.from(text);
export const sha = (b: Uint8Array): string => createHash('sha256').update(b).digest('hex');

export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((r) => (resolve = r));
  return { promise, resolve };
}

/** A server on a free loopback port, closed with the test. Errors of its sockets are what many tests provoke. */
export async function serve(
  t: ExecutionContext,
  onSocket: (socket: net.Socket) => void,
  host = '127.0.0.1',
): Promise<{ at: Endpoint; sockets: Set<net.Socket> }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { at: parseEndpoint(host, (server.address() as net.AddressInfo).port), sockets };
}

/** A port that was free a moment ago and that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function udpPeer(
  t: ExecutionContext,
  host = '127.0.0.1',
): Promise<{ socket: dgram.Socket; at: Endpoint }> {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return { socket, at: parseEndpoint(host, socket.address().port) };
}
