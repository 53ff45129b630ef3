// Where DHCP leases outlive the server's own tables.
//
// The server keeps its working state itself and writes every confirmed change through. A store keeps the last record of
// each address and gives all of them back at start. Deadlines are monotonic milliseconds of the server's clock on both
// sides: a store that crosses a restart re-bases them to the clock it is opened with.

/** The last known binding of one address. */
export interface LeaseRecord {
  /** IPv4 address, or the last word of an IPv6 one; unsigned. */
  readonly address: number;
  /** The client, as the server tells clients apart: opaque printable text. */
  readonly client: string;
  /** Hardware address: upper 16 and lower 32 bits, both unsigned. */
  readonly macHi: number;
  readonly macLo: number;
  /** Host name the client gave, '' when none was accepted. */
  readonly hostname: string;
  /** End of the lease, monotonic ms. In the past for a released or expired lease, which is only a preference. */
  readonly expiresAt: number;
}

/** Keeps lease records. One writer; no method throws for what the disk says. */
export interface LeaseStore {
  /** All records kept, at most one for each address. */
  load(): readonly LeaseRecord[];
  /**
   * Records a binding; it replaces the one of the same address.
   *
   * @param done  called once, when the record is as durable as the store can make it (within the call or later)
   */
  put(record: LeaseRecord, done: () => void): void;
  /** Forgets the binding of an address. */
  remove(address: number): void;
}

/** Leases that live as long as the process. */
export class MemoryLeaseStore implements LeaseStore {
  private readonly records = new Map<number, LeaseRecord>();

  load(): readonly LeaseRecord[] {
    return [...this.records.values()];
  }

  put(record: LeaseRecord, done: () => void): void {
    this.records.set(record.address, record);
    done();
  }

  remove(address: number): void {
    this.records.delete(address);
  }
}
