// All native TCP and datagram sockets of a thread: one epoll, one call from the addon per turn of the event loop.
//
//   event loop -> onReady: for each event in the table ready(events) of the socket or listener
//                          then those that asked to be called later, then what was deferred, then the ticks
//
// Events are told once (edge-triggered): a socket that does not act on one asks again by reactorRearm. Entries of a socket
// that is closed while the table is being walked are struck out, for its descriptor may already be somebody else's.
//
// Sockets that have something to say which HostNet does not allow within the present call wait in `later`; they are
// called at the end of the walk, or in a tick when there is none. `defer` is HostNet's: what a user of many sockets does
// once for all of them. The watch keeps the process alive while there are any sockets.

import { ByteVector } from '../core/byte-vector.ts';
import * as n from '../native/native.ts';
import { ErrorQueue } from './error-queue.ts';

/** Largest read, bytes. */
export const READ_LEN = 256 * 1024;
const STRUCK = -1;

export interface Ready {
  /** Something happened to the descriptor, EPOLL bits. */
  ready(events: number): void;
}

export interface Later {
  /** What had to wait until the call in which it was found is over. */
  onLater(): void;
}

export class Reactor {
  readonly api: n.NativeApi;
  readonly errors: ErrorQueue;
  /** Scratch of one read, write or call with an address. */
  readonly vector = new ByteVector();
  readonly address = new Int32Array(n.ADDRESS_CELLS);
  /** For users that lend no memory. */
  readonly readBuffer = new Uint8Array(READ_LEN);
  private readonly poll: n.Poll;
  private readonly table: Int32Array;
  /** The walk of the table: entries in it, and the next one. */
  private count = 0;
  private at = 0;
  private walking = false;
  private readonly byFd: (Ready | null)[] = [];
  private open = 0;
  private late: Later[] = [];
  private spareLate: Later[] = [];
  private lateAsked = false;
  /** What `defer` was asked to run at the end of the present turn. */
  private readonly deferred: (() => void)[] = [];
  private inTurn = false;

  /** Throws an Error with the errno as code when the system gives no epoll. */
  constructor(api: n.NativeApi) {
    this.api = api;
    this.errors = new ErrorQueue(api);
    const { poll, table } = api.pollReactor(this.onReady);
    this.poll = poll;
    this.table = table;
    api.pollUnref(poll);
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
    this.api.reactorClose(fd, reset);
  }

  /** Has `who.onLater()` called when the present call is over. */
  later(who: Later): void {
    this.late.push(who);
    if (this.walking || this.lateAsked) return;
    this.lateAsked = true;
    process.nextTick(this.runLate);
  }

  /** Runs `run` once at the end of the present turn, or in the next one where no events are being told. */
  defer(run: () => void): void {
    if (this.inTurn) this.deferred.push(run);
    else setImmediate(run);
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

  private readonly onReady = (_events: number, count = 0): void => {
    this.inTurn = true;
    try {
      this.walk(count);
      if (this.late.length > 0) this.runLate();
    } finally {
      this.inTurn = false;
      while (this.deferred.length > 0) this.deferred.pop()!();
    }
  };

  private walk(count: number): void {
    const { table, byFd } = this;
    this.count = count;
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
  }

  /** A user threw, which ends most processes: where it does not, the others shall not miss their events. */
  private tellAgain(): void {
    for (; this.at < this.count; this.at++) {
      const fd = this.table[this.at * n.EVENT_CELLS]!;
      if (fd !== STRUCK) this.api.reactorRearm(fd);
    }
  }
}

let shared: Reactor | null = null;

/** The reactor of this thread; null when the addon cannot be loaded or the system gives no epoll. */
export function sharedReactor(): Reactor | null {
  if (shared !== null) return shared;
  if (n.nativeProblem() !== null) return null;
  try {
    return (shared = new Reactor(n.native()));
  } catch {
    return null;
  }
}
