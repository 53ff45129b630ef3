import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { FrameSink } from '../../src/core/frame.ts';
import type { Timers } from '../../src/link/timers.ts';
import { AF_UNIX, native, SOCK_DGRAM } from '../../src/native/native.ts';

/** A directory of this test, removed with all that is in it. */
export function tempDir(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Lets the event loop turn until `done` holds; fails after twenty seconds. */
export async function until(done: () => boolean, what = 'condition'): Promise<void> {
  const end = performance.now() + 20_000;
  while (!done()) {
    if (performance.now() > end) throw new Error(`timed out: ${what}`);
    await turn();
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets the event loop turn `n` times: enough for what must not happen to happen. */
export async function turns(n = 20): Promise<void> {
  for (let i = 0; i < n; i++) await turn();
}

interface Pending {
  at: number;
  ms: number;
  run: () => void;
}

/** Timers that fire only in `advance`. */
export class FakeTimers implements Timers {
  readonly pending: Pending[] = [];
  private time = 0;

  now(): number {
    return this.time;
  }

  start(run: () => void, ms: number): Pending {
    const timer = { at: this.time + ms, ms, run };
    this.pending.push(timer);
    return timer;
  }

  stop(handle: unknown): void {
    const at = this.pending.indexOf(handle as Pending);
    if (at >= 0) this.pending.splice(at, 1);
  }

  advance(ms: number): void {
    this.time += ms;
    for (const timer of this.pending.filter((p) => p.at <= this.time)) {
      this.stop(timer);
      timer.run();
    }
  }
}

/** Keeps what comes in. */
export class Recorder implements FrameSink {
  readonly frames: Uint8Array[] = [];
  flushes = 0;

  frame(b: Uint8Array, off: number, len: number): void {
    this.frames.push(b.slice(off, off + len));
  }

  flush(): void {
    this.flushes++;
  }

  /** The numbers that `numbered` put into the frames. */
  get numbers(): number[] {
    return this.frames.map((f) => (f[14]! << 24) | (f[15]! << 16) | (f[16]! << 8) | f[17]!);
  }
}

/** A frame that carries a number behind its header. */
export function numbered(n: number, len = 60, source = 1): Uint8Array {
  const frame = new Uint8Array(len);
  frame.fill(0xff, 0, 6);
  frame.set([0x02, 0, 0, 0, 0, source, 0x88, 0xb5, n >>> 24, n >>> 16, n >>> 8, n], 6);
  return frame;
}

/** A bound datagram socket; the caller closes it. */
export function datagramSocket(path: string): number {
  const api = native();
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  const status = api.bindUnix(fd, path);
  if (fd < 0 || status < 0) throw new Error(`bind ${path}: ${status}`);
  return fd;
}

/** Two datagram sockets that are bound and connected to each other. */
export function datagramPair(dir: string): [number, number] {
  const paths = [join(dir, 'one'), join(dir, 'two')] as const;
  const one = datagramSocket(paths[0]);
  const two = datagramSocket(paths[1]);
  native().connectUnix(one, paths[1]);
  native().connectUnix(two, paths[0]);
  return [one, two];
}

/** Reads all datagrams that wait on a descriptor. */
export function receiveAll(fd: number): Uint8Array[] {
  const memory = new Uint8Array(64 * 10_000);
  const batch = native().newBatch(memory, 64);
  const frames: Uint8Array[] = [];
  for (;;) {
    const n = native().recv(fd, batch, 0, 10_000, 64);
    if (n <= 0) return frames;
    for (let i = 0; i < n; i++) frames.push(memory.slice(batch.offs[i]!, batch.offs[i]! + batch.lens[i]!));
  }
}

/** A stream connection that collects what it hears. */
export interface RawClient {
  socket: Socket;
  heard: Buffer;
  ended: boolean;
}

export async function rawClient(t: ExecutionContext, ctl: string): Promise<RawClient> {
  const socket = connect(ctl);
  const client: RawClient = { socket, heard: Buffer.alloc(0), ended: false };
  socket.on('data', (chunk) => {
    client.heard = Buffer.concat([client.heard, chunk]);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    client.ended = true;
  });
  t.teardown(() => socket.destroy());
  await until(() => !socket.connecting, 'connect');
  return client;
}

/** A stand-in for a switch: a stream server that does with its connections what the test says. */
export async function fakeSwitch(t: ExecutionContext, ctl: string, serve: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((done) => server.listen(ctl, done));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}
