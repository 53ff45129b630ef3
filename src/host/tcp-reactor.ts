// All native TCP sockets of a thread: one epoll, one call from the addon per turn of the event loop.
//
//   event loop -> onReady: tcpEvents fills the table -> for each entry ready(events) of the socket or listener
//                          then those that asked to be called later, then the ticks
//
// Events are told once (edge-triggered): a socket that does not act on one asks again by `rearm`. Entries of a socket that
// is closed while the table is being walked are struck out, for its descriptor may already be somebody else's.
//
// Sockets that have something to say which HostNet does not allow within the present call wait in `later`; they are
// called at the end of the walk, or in a tick when there is none. The watch keeps the process alive while there are any
// sockets.

import { ByteVector } from '../core/byte-vector.ts';
import * as n from '../native/native.ts';
import { ErrorQueue } from './error-queue.ts';

/** Largest read, bytes. */
export const READ_LEN = 256 * 1024;
const MAX_EVENTS = 256;
const STRUCK = -1;

export interface Ready {
  /** Something happened to the descriptor, EPOLL bits. */
  ready(events: number): void;
}

export interface Later {
  /** What had to wait until the call in which it was found is over. */
  onLater(): void;
}

export class TcpReactor {
  readonly api: n.NativeApi;
  readonly errors: ErrorQueue;
  /** Scratch of one read, write or call with an address. */
  readonly vector = new ByteVector();
  readonly address = new Int32Array(n.ADDRESS_CELLS);
  /** For users that lend no memory. */
  readonly readBuffer = new Uint8Array(READ_LEN);
  private readonly poll: n.Poll;
  private readonly table = new Int32Array(MAX_EVENTS * n.EVENT_CELLS);
  /** The walk of the table: entries in it, and the next one. */
  private count = 0;
  private at = 0;
  private walking = false;
  private readonly byFd: (Ready | null)[] = [];
  private open = 0;
  private late: Later[] = [];
  private spareLate: Later[] = [];
  private lateAsked = false;

  /** Throws an Error with the errno as code when the system gives no epoll. */
  constructor(api: n.NativeApi) {
    this.api = api;
    this.errors = new ErrorQueue(api);
    this.poll = api.poll(api.tcpEpoll(), n.READABLE, this.onReady);
    api.pollUnref(this.poll);
  }

  add(fd: number, who: Ready): void {
    while (this.byFd.length <= fd) this.byFd.push(null);
    this.byFd[fd] = who;
    if (this.open++ === 0) this.api.pollRef(this.poll);
  }

  /** Forgets a descriptor and closes it. */
  close(fd: number, reset: boolean): void {
    const { table } = this;
    this.byFd[fd] = null;
    if (--this.open === 0) this.api.pollUnref(this.poll);
    for (let i = this.at * n.EVENT_CELLS; i < this.count * n.EVENT_CELLS; i += n.EVENT_CELLS) {
      if (table[i] === fd) table[i] = STRUCK;
    }
    this.api.tcpClose(fd, reset);
  }

  /** Has `who.onLater()` called when the present call is over. */
  later(who: Later): void {
    this.late.push(who);
    if (this.walking || this.lateAsked) return;
    this.lateAsked = true;
    process.nextTick(this.runLate);
  }

  private readonly runLate = (): void => {
    this.lateAsked = false;
    // What comes up meanwhile waits for a tick of its own: the list is not walked while it grows.
    const run = this.late;
    this.late = this.spareLate;
    let i = 0;
    try {
      while (i < run.length) run[i++]!.onLater();
    } finally {
      for (; i < run.length; i++) this.later(run[i]!); // a user threw
      run.length = 0;
      this.spareLate = run;
    }
  };

  private readonly onReady = (): void => {
    const { api, table, byFd } = this;
    this.count = api.tcpEvents(table);
    this.at = 0;
    this.walking = true;
    try {
      while (this.at < this.count) {
        const i = this.at++ * n.EVENT_CELLS;
        const fd = table[i]!;
        if (fd !== STRUCK) byFd[fd]?.ready(table[i + 1]!);
      }
    } finally {
      this.walking = false;
      if (this.at < this.count) this.tellAgain();
      this.count = 0;
    }
    if (this.late.length > 0) this.runLate();
  };

  /** A user threw, which ends most processes: where it does not, the others shall not miss their events. */
  private tellAgain(): void {
    for (; this.at < this.count; this.at++) {
      const fd = this.table[this.at * n.EVENT_CELLS]!;
      if (fd !== STRUCK) this.api.tcpRearm(fd);
    }
  }
}

let shared: TcpReactor | null = null;

/** The reactor of this thread; null when the addon cannot be loaded or the system gives no epoll. */
export function tcpReactor(): TcpReactor | null {
  if (shared !== null) return shared;
  if (n.nativeProblem() !== null) return null;
  try {
    return (shared = new TcpReactor(n.native()));
  } catch {
    return null;
  }
}
