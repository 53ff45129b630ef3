// Users of host sockets that write down what they are told.

import { setTimeout as delay } from 'node:timers/promises';
import { Endpoint } from '../../src/core/address.ts';
import type { HostTcp, HostTcpUser, HostUdpUser } from '../../src/host/host-net.ts';

/** Lets a test wait for what a socket tells, without polling. */
class Watched {
  private readonly waiting = new Set<() => void>();

  /** Resolves when `done` is true, which is looked at after each call from the socket. */
  protected when(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!done()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }

  protected told(): void {
    for (const look of this.waiting) look();
  }

  /** Lets the event loop run for a while, for what must not happen. */
  async pass(ms: number): Promise<void> {
    await delay(ms);
  }

  /** A few turns of the event loop. */
  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  }
}

export class TcpRecorder extends Watched implements HostTcpUser {
  tcp: HostTcp | null = null;
  /** Calls in order; runs of `data` or `drained` are one entry. */
  readonly events: string[] = [];
  received = 0;
  failure = '';
  /** False: bytes are counted and not kept. */
  keep = true;
  onData: (b: Uint8Array) => void = () => {};
  onDrained: () => void = () => {};
  private readonly pieces: Buffer[] = [];

  connected(): void {
    this.note('connected');
  }

  data(b: Uint8Array, off: number, len: number): void {
    const piece = b.subarray(off, off + len);
    this.received += len;
    if (this.keep) this.pieces.push(Buffer.from(piece));
    this.onData(piece);
    this.note('data');
  }

  end(): void {
    this.note('end');
  }

  drained(): void {
    this.onDrained();
    this.note('drained');
  }

  failed(code: string): void {
    this.failure = code;
    this.note(`failed ${code}`);
  }

  closed(): void {
    this.note('closed');
  }

  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  text(): string {
    return this.bytes().toString();
  }

  /** Resolves when `event` was told; rejects when the socket failed instead. */
  async until(event: string): Promise<void> {
    const happened = (): boolean => this.events.some((e) => e === event || e.startsWith(`${event} `));
    await this.when(() => happened() || this.failure !== '');
    if (!happened()) throw new Error(`failed with ${this.failure} while waiting for ${event}`);
  }

  async untilReceived(count: number): Promise<void> {
    await this.when(() => this.received >= count || this.failure !== '');
    if (this.received < count) throw new Error(`failed with ${this.failure} after ${this.received} bytes`);
  }

  private note(event: string): void {
    if (this.events.at(-1) !== event || !/data|drained/.test(event)) this.events.push(event);
    this.told();
  }
}

export class UdpRecorder extends Watched implements HostUdpUser {
  readonly datagrams: { from: Endpoint; bytes: Buffer }[] = [];
  /** `CODE destination`, or `CODE`. */
  readonly failures: string[] = [];

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.datagrams.push({ from: new Endpoint().copy(from), bytes: Buffer.from(b.subarray(off, off + len)) });
    this.told();
  }

  failed(code: string, to: Endpoint | null): void {
    this.failures.push(to === null ? code : `${code} ${to}`);
    this.told();
  }

  /** `sender text` of each datagram. */
  texts(): string[] {
    return this.datagrams.map(({ from, bytes }) => `${from} ${bytes}`);
  }

  untilReceived(count: number): Promise<void> {
    return this.when(() => this.datagrams.length >= count);
  }

  untilFailures(count: number): Promise<void> {
    return this.when(() => this.failures.length >= count);
  }
}
