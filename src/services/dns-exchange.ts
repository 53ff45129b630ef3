// One query to one server over TCP (RFC 7766 section 8): a connection of its own, two bytes of length, the message, and
// the same back. The source port is the kernel's choice, fresh for each query.

import type { Endpoint } from '../core/address.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import type { HostNet, HostTcp, HostTcpUser } from '../host/host-net.ts';
import { putU16 } from '../wire/bytes.ts';
import * as dns from '../wire/dns.ts';

/** How long the server may take to close after its answer. */
const LINGER_MS = 1000;

export interface DnsExchangeUser {
  /** A whole message arrived; nothing about it is checked but that it has a header and the id that was sent. */
  exchangeAnswer(exchange: DnsExchange, b: Uint8Array, off: number, len: number): void;
  /** The connection ended, or sent nonsense, without an answer. */
  exchangeFailed(exchange: DnsExchange): void;
}

export class DnsExchange implements HostTcpUser {
  readonly to: Endpoint;
  private readonly socket: HostTcp;
  private readonly user: DnsExchangeUser;
  private readonly timer: Timer;
  private readonly id: number;
  /** Length prefix and message to send; dropped when written. */
  private request: Uint8Array | null;
  /** Bytes of the answer seen, prefix included, and the answer itself once its length is known. */
  private got = 0;
  private answerLen = 0;
  private answer: Uint8Array | null = null;
  private done = false;

  /**
   * Connects and sends bytes 0 to `len` of `message` under `id`.
   *
   * @param message  copied before the call returns
   */
  constructor(
    host: HostNet,
    wheel: TimerWheel,
    to: Endpoint,
    message: Uint8Array,
    len: number,
    id: number,
    user: DnsExchangeUser,
  ) {
    this.to = to;
    this.user = user;
    this.id = id;
    const request = new Uint8Array(2 + len);
    putU16(request, 0, len);
    request.set(message.subarray(0, len), 2);
    dns.setId(request, 2, id);
    this.request = request;
    this.timer = wheel.timer(() => this.socket.reset());
    this.socket = host.connectTcp(to, this);
  }

  /** Gives up; nothing more is called. */
  abandon(): void {
    this.done = true;
    this.timer.cancel();
    this.socket.reset();
  }

  connected(): void {
    const request = this.request;
    if (request === null) return;
    this.request = null;
    this.socket.write(request, 0, request.length);
    this.socket.flush();
  }

  data(b: Uint8Array, off: number, len: number): void {
    let at = off;
    const end = off + len;
    while (at < end && !this.done) {
      if (this.got < 2) {
        this.answerLen = (this.answerLen << 8) | b[at++]!;
        this.got++;
        if (this.got === 2) {
          if (this.answerLen < dns.HEADER_LEN) this.fail();
          else this.answer = new Uint8Array(this.answerLen);
        }
        continue;
      }
      const take = Math.min(end - at, this.answerLen + 2 - this.got);
      this.answer!.set(b.subarray(at, at + take), this.got - 2);
      this.got += take;
      at += take;
      if (this.got === this.answerLen + 2) this.complete(this.answer!);
    }
  }

  end(): void {
    if (!this.done) this.fail();
  }

  failed(): void {
    this.timer.cancel();
    if (this.done) return;
    this.done = true;
    this.user.exchangeFailed(this);
  }

  drained(): void {}

  closed(): void {
    this.failed();
  }

  private complete(answer: Uint8Array): void {
    this.answer = null;
    if (dns.id(answer, 0) !== this.id) {
      this.fail();
      return;
    }
    this.done = true;
    this.socket.end();
    this.timer.set(LINGER_MS);
    this.user.exchangeAnswer(this, answer, 0, answer.length);
  }

  private fail(): void {
    this.done = true;
    this.socket.reset();
    this.user.exchangeFailed(this);
  }
}
