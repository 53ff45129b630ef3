// Who has how many flows of a table, and which of them was idle for longest, whatever their number: the cost of making
// room is the same for a table of ten flows and for one of ten thousand.
//
//   level   count of flows       1: C <-> D        2: -        3: A <-> B       (holders in lists; `most` is 3)
//   holder  its flows, from the longest idle to the latest used

import type { Station } from '../ip/index.ts';
import type { IdleFlow } from './flow-table.ts';

/** The flows of one guest. */
export class Holder {
  readonly station: Station;
  count = 0;
  oldest: IdleFlow | null = null;
  youngest: IdleFlow | null = null;
  /** Neighbours at the level. */
  next: Holder | null = null;
  prev: Holder | null = null;

  constructor(station: Station) {
    this.station = station;
  }
}

export class Holders {
  private readonly byStation = new Map<Station, Holder>();
  /** First holder of each count. */
  private readonly levels: (Holder | null)[] = [null];
  private most = 0;

  of(station: Station): Holder | null {
    return this.byStation.get(station) ?? null;
  }

  /** The guest with most flows, `preferred` if it is one of several; null when there are none. */
  largest(preferred: Station | null): Holder | null {
    const own = preferred === null ? null : this.of(preferred);
    return own !== null && own.count === this.most ? own : this.levels[this.most]!;
  }

  /** A new flow, used just now. */
  add(flow: IdleFlow): void {
    const { station } = flow.guest;
    let holder = this.of(station);
    if (holder === null) {
      holder = new Holder(station);
      this.byStation.set(station, holder);
    } else {
      this.leave(holder);
    }
    this.enter(holder, holder.count + 1);
    flow.holder = holder;
    append(holder, flow);
  }

  /** A flow was used just now. */
  touch(flow: IdleFlow): void {
    const holder = flow.holder!;
    if (holder.youngest === flow) return;
    unlink(holder, flow);
    append(holder, flow);
  }

  remove(flow: IdleFlow): void {
    const holder = flow.holder!;
    flow.holder = null;
    unlink(holder, flow);
    this.leave(holder);
    if (holder.count > 1) this.enter(holder, holder.count - 1);
    else this.byStation.delete(holder.station);
    while (this.most > 0 && this.levels[this.most] === null) this.most--; // one step: the holder is at the next level
  }

  private enter(holder: Holder, count: number): void {
    const head = this.levels[count] ?? null;
    holder.count = count;
    holder.prev = null;
    holder.next = head;
    if (head !== null) head.prev = holder;
    this.levels[count] = holder;
    if (count > this.most) this.most = count;
  }

  private leave(holder: Holder): void {
    if (holder.prev !== null) holder.prev.next = holder.next;
    else this.levels[holder.count] = holder.next;
    if (holder.next !== null) holder.next.prev = holder.prev;
  }
}

function append(holder: Holder, flow: IdleFlow): void {
  flow.ownOlder = holder.youngest;
  flow.ownYounger = null;
  if (holder.youngest !== null) holder.youngest.ownYounger = flow;
  else holder.oldest = flow;
  holder.youngest = flow;
}

function unlink(holder: Holder, flow: IdleFlow): void {
  if (flow.ownOlder !== null) flow.ownOlder.ownYounger = flow.ownYounger;
  else holder.oldest = flow.ownYounger;
  if (flow.ownYounger !== null) flow.ownYounger.ownOlder = flow.ownOlder;
  else holder.youngest = flow.ownOlder;
  flow.ownOlder = flow.ownYounger = null;
}
