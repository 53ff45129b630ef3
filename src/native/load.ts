// Finds and loads the addon's binary: a prebuilt one of the package, else the one that scripts/build-native.mjs made.
// Both are looked for from the package root, two levels above this file in src/native and in dist/native.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

/** Must equal ABI in addon.c; a binary of another one is refused. */
const ABI = 9;

/** Called by a watch: see NativeApi.poll, NativeApi.pollForward and NativeApi.pollReactor. */
export type Ready = (events: number, count?: number, next?: number) => void;

/** What addon.c exports. Batches and watches are ids here; native.ts gives them objects. */
export interface Addon {
  readonly abi: number;
  socket(domain: number, type: number, protocol: number): number;
  bindUnix(fd: number, path: string): number;
  connectUnix(fd: number, path: string): number;
  bindInet(fd: number, address: Uint8Array, port: number): number;
  connectInet(fd: number, address: Uint8Array, port: number): number;
  setsockopt(fd: number, level: number, name: number, value: number): number;
  getsockopt(fd: number, level: number, name: number): number;
  localPort(fd: number): number;
  peerCred(fd: number): { pid: number; uid: number; gid: number } | null;
  flock(fd: number): number;
  tap(name: string, vnetHeader: boolean): number;
  tapIn(
    userFd: number,
    netFd: number,
    name: string,
    vnetHeader: boolean,
    mtu: number,
    address: number,
    prefixLen: number,
    gateway: number,
  ): number;
  readOffloaded(fd: number, batch: number, base: number, stride: number, max: number): number;
  writeOffloaded(fd: number, batch: number, start: number, count: number, mtu: number): number;
  readSegments(fd: number, batch: number, base: number, stride: number, max: number, scratch: number): number;
  writeSegments(fd: number, batch: number, start: number, count: number): number;
  splitSegments(
    batch: number,
    start: number,
    count: number,
    mtu: number,
    out: number,
    base: number,
    limit: number,
  ): number;
  mergeSegments(
    batch: number,
    start: number,
    count: number,
    unused: number,
    out: number,
    base: number,
    limit: number,
  ): number;
  close(fd: number): number;
  newBatch(memory: Uint8Array, capacity: number, table: Uint32Array, owner: object): number;
  recv(fd: number, batch: number, base: number, stride: number, max: number): number;
  send(fd: number, batch: number, start: number, count: number): number;
  newForwarder(ports: number, words: Int32Array, sums: Float64Array, stations: Int32Array, owner: object): number;
  forward(forwarder: number, port: number, batch: number, start: number, count: number): number;
  recvFrom(fd: number, batch: number, base: number, stride: number, max: number): number;
  sendTo(fd: number, batch: number, start: number, count: number): number;
  recvError(fd: number, record: Int32Array): number;
  ifIndex(name: string): number;
  joinGroup(fd: number, address: Uint8Array, index: number): number;
  readFrames(fd: number, batch: number, base: number, stride: number, max: number): number;
  writeFrames(fd: number, batch: number, start: number, count: number): number;
  writeStream(fd: number, batch: number, start: number, count: number): number;
  readStream(fd: number, batch: number, base: number, len: number): number;
  listen(fd: number, backlog: number): number;
  accept(fd: number): number;
  pipe(ends: Int32Array): number;
  pipeSize(fd: number, size: number): number;
  ownGroup(): number;
  exec(argv: readonly string[], fds: Int32Array): number;
  packet(index: number, promiscuous: boolean): number;
  recvPackets(fd: number, batch: number, base: number, stride: number, max: number): number;
  sendPackets(fd: number, batch: number, start: number, count: number): number;
  tcpConnect(address: Int32Array): number;
  tcpOpened(fd: number, events: number): number;
  tcpListen(address: Int32Array, backlog: number): number;
  tcpAccept(fd: number, table: Int32Array): number;
  tcpName(fd: number, address: Int32Array): number;
  tcpRead(fd: number, pieces: readonly Uint8Array[], count: number, off: number, len: number): number;
  tcpWrite(fd: number, pieces: readonly Uint8Array[], count: number, off: number, len: number): number;
  tcpEnd(fd: number): number;
  udpOpen(address: Int32Array, receive: number): number;
  reactorRearm(fd: number): number;
  reactorClose(fd: number, reset: boolean): number;
  pollReactor(ready: Ready, table: Int32Array): number;
  poll(fd: number, events: number, ready: Ready): number;
  pollModify(watch: number, events: number): number;
  pollForward(
    watch: number,
    forwarder: number,
    port: number,
    batch: number,
    base: number,
    stride: number,
    max: number,
    longest: number,
  ): void;
  pollRef(watch: number): void;
  pollUnref(watch: number): void;
  pollClose(watch: number): void;
  sum(batch: number, off: number, len: number, initial: number): number;
}

/** The addon, or why there is none: one sentence without full stop. */
export type Loaded = { addon: Addon; problem: null } | { addon: null; problem: string };

// The C libraries a prebuilt binary may need. The wrong one does not load, so both are tried.
const CANDIDATES = [
  `prebuilds/linux-${arch}-glibc/vdenet.node`,
  `prebuilds/linux-${arch}-musl/vdenet.node`,
  'build/vdenet.node',
];

const failed = (problem: string): Loaded => ({ addon: null, problem });

export function load(): Loaded {
  if (platform !== 'linux') return failed(`there is a native addon for Linux only, not for ${platform}`);
  const require = createRequire(import.meta.url);
  let problem = `no binary for ${platform}-${arch} is in the package and none was built`;
  for (const candidate of CANDIDATES) {
    const path = fileURLToPath(new URL(`../../${candidate}`, import.meta.url));
    if (!existsSync(path)) continue;
    try {
      const addon = require(path) as Addon;
      if (addon.abi === ABI) return { addon, problem: null };
      problem = `${path} belongs to another version of vdenet`;
    } catch (error) {
      problem = `${path} cannot be loaded (${error instanceof Error ? error.message.split('\n')[0] : error})`;
    }
  }
  return failed(problem);
}
