// A list of connections in order of arrival, linked through themselves. A connection is in at most one list.

import type { TcpConnection } from './connection.ts';

export class ConnectionList {
  first: TcpConnection | null = null;
  private last: TcpConnection | null = null;
  size = 0;

  append(c: TcpConnection): void {
    c.list = this;
    c.listPrev = this.last;
    c.listNext = null;
    if (this.last === null) this.first = c;
    else this.last.listNext = c;
    this.last = c;
    this.size++;
  }

  /** False when it was not in this list. */
  remove(c: TcpConnection): boolean {
    if (c.list !== this) return false;
    if (c.listPrev === null) this.first = c.listNext;
    else c.listPrev.listNext = c.listNext;
    if (c.listNext === null) this.last = c.listPrev;
    else c.listNext.listPrev = c.listPrev;
    c.list = null;
    c.listPrev = c.listNext = null;
    this.size--;
    return true;
  }
}
