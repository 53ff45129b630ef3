// DHCP leases in a file: one line of JSON for each change, the last one of an address counts.
//
//   {"vdenet":"leases","version":1,"boot":"5f1c..."}                                       header, written with the file
//   {"ip":"10.0.2.15","client":"hw:0200..","mac":"02:00:..","name":"web","ends":1760000000000,"up":86401234,"left":86400000}
//   {"ip":"10.0.2.15","gone":true}
//
// put        appended and flushed to the disk before `done`; all that is asked for meanwhile shares the next flush.
// Compaction at start, and when the file is twice as long as what it says: a new file beside it, flushed, renamed over the
//            old one, directory flushed. A crash leaves the old file or the new one.
// Torn line  a crash while appending leaves a last line that is no JSON: it was not confirmed to anybody, and is ignored.
// Time       records hold the end of the lease by the wall clock (`ends`), and by the clock that has run since the machine
//            started (`up`). After a restart of the program the second counts, whatever was done to the wall clock; after
//            one of the machine the first does, and no lease grows longer than it was when it was written (`left`).
// Failure    (disk full, read-only, gone) The server goes on from memory: one warning, and a new attempt to write the
//            whole file every 60 s.
//
// One writer: whoever opens the file keeps others out (cli/lease-lock.ts). Fields that are not known here are kept. A file that is not one of ours,
// or of a later version, is refused at the start and left alone.

import { readFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatIpv4, formatMac, parseIpv4, parseMac } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import type { LeaseRecord, LeaseStore } from '../services/index.ts';
import { putU16, putU32, u16, u32 } from '../wire/bytes.ts';

const VERSION = 1;
export const RETRY_MS = 60_000;
/** The file may be this much longer than twice its content before it is written anew, bytes. */
const SLACK = 4096;
const MAX_FILE = 16 * 1024 * 1024;
const MAX_CLIENT = 1024;

/** Clocks that outlive the process. */
export interface LeaseTime {
  /** Wall clock, ms since 1970. */
  wall(): number;
  /** Names this run of the machine; '' when that is not known. */
  readonly boot: string;
  /** Milliseconds since the machine started; runs on whatever happens to the wall clock. */
  up(): number;
}

export interface LeaseFileOptions {
  readonly path: string;
  /** Its clock is the one of `LeaseRecord.expiresAt`. */
  readonly wheel: TimerWheel;
  readonly warn: (line: string) => void;
  /** How addresses are written and read (-1: not one); default: as IPv4. */
  readonly address?: { readonly text: (address: number) => string; readonly parse: (text: string) => number };
  /** For tests; default: the machine's. */
  readonly time?: LeaseTime;
  readonly openFile?: typeof open;
}

type Fields = Record<string, unknown>;

interface Entry {
  readonly record: LeaseRecord;
  /** Fields of a later version, kept as they are. */
  readonly unknown: Fields;
  /** Length of its line, bytes. */
  size: number;
}

interface Write {
  readonly line: string;
  readonly done: (() => void) | null;
}

export class LeaseFile implements LeaseStore {
  private readonly path: string;
  private readonly wheel: TimerWheel;
  private readonly warn: (line: string) => void;
  private readonly time: LeaseTime;
  private readonly address: NonNullable<LeaseFileOptions['address']>;
  private readonly openFile: typeof open;
  private readonly retry: Timer;
  private readonly entries = new Map<number, Entry>();
  private live = 0;
  private handle: FileHandle | null = null;
  /** Length of the file, bytes. */
  private size = 0;
  private waiting: Write[] = [];
  /** The whole file must be written before anything is appended. */
  private anew = true;
  private broken = false;
  private warned = false;
  private shut = false;
  private running = false;
  private work: Promise<void> = Promise.resolve();

  /** Reads what is there. Throws ERR_VDE_BAD_OPTION when the file cannot be read or is none of ours. */
  constructor(options: LeaseFileOptions) {
    this.path = options.path;
    this.wheel = options.wheel;
    this.warn = options.warn;
    this.time = options.time ?? machineTime();
    this.address = options.address ?? { text: formatIpv4, parse: parseIpv4 };
    this.openFile = options.openFile ?? open;
    this.retry = this.wheel.timer(() => {
      this.anew = true;
      this.broken = false;
      this.start();
    });
    this.read();
    this.start();
  }

  load(): readonly LeaseRecord[] {
    return [...this.entries.values()].map(({ record }) => record);
  }

  put(record: LeaseRecord, done: () => void): void {
    const former = this.entries.get(record.address);
    const unknown = former?.record.client === record.client ? former.unknown : {};
    this.append(this.keep({ record, unknown, size: 0 }), done);
  }

  remove(address: number): void {
    if (!this.entries.has(address)) return;
    this.forget(address);
    this.append(`${JSON.stringify({ ip: this.address.text(address), gone: true })}\n`, null);
  }

  /** Waits until everything is written, and closes the file. */
  async close(): Promise<void> {
    this.shut = true;
    this.retry.cancel();
    await this.work;
    await this.handle?.close();
    this.handle = null;
  }

  // What is known.

  private keep(entry: Entry): string {
    this.forget(entry.record.address);
    const line = this.lineOf(entry);
    entry.size = Buffer.byteLength(line);
    this.entries.set(entry.record.address, entry);
    this.live += entry.size;
    return line;
  }

  private forget(address: number): void {
    this.live -= this.entries.get(address)?.size ?? 0;
    this.entries.delete(address);
  }

  private lineOf({ record, unknown }: Entry): string {
    const left = Math.round(record.expiresAt - this.wheel.clock.now());
    const mac = new Uint8Array(6);
    putU16(mac, 0, record.macHi);
    putU32(mac, 2, record.macLo);
    const fields = {
      ...unknown,
      ip: this.address.text(record.address),
      client: record.client,
      mac: formatMac(mac),
      name: record.hostname,
      ends: Math.round(this.time.wall()) + left,
      up: Math.round(this.time.up()) + left,
      left,
    };
    return `${JSON.stringify(fields)}\n`;
  }

  // Reading.

  private read(): void {
    let text: string;
    try {
      const bytes = readFileSync(this.path);
      if (bytes.length > MAX_FILE)
        throw new VdeError('ERR_VDE_BAD_OPTION', `${this.path} is too long for a lease file`);
      text = bytes.toString('utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (error instanceof VdeError) throw error;
      throw new VdeError('ERR_VDE_BAD_OPTION', `cannot read the lease file: ${(error as Error).message}`);
    }
    if (text === '') return;
    const lines = text.split('\n');
    const header = fieldsOf(lines[0]!);
    if (header?.['vdenet'] !== 'leases' || header['version'] !== VERSION) {
      const what = header?.['vdenet'] === 'leases' ? 'was written by another version of vdenet' : 'is no lease file';
      throw new VdeError('ERR_VDE_BAD_OPTION', `${this.path} ${what}; it is left as it is`);
    }
    const sameBoot = header['boot'] === this.time.boot && this.time.boot !== '';
    for (const line of lines.slice(1)) {
      const fields = fieldsOf(line);
      const address = fields === null ? -1 : this.address.parse(String(fields['ip']));
      if (fields === null || address < 0) continue;
      const entry = fields['gone'] === true ? null : this.entryOf(fields, address, sameBoot);
      if (entry === null) this.forget(address);
      else this.keep(entry);
    }
  }

  private entryOf(fields: Fields, address: number, sameBoot: boolean): Entry | null {
    const { ip: _ip, client, mac: macText, name, ends, up, left, ...unknown } = fields;
    const mac = typeof macText === 'string' ? parseMac(macText) : null;
    if (mac === null || typeof client !== 'string' || client === '' || client.length > MAX_CLIENT) return null;
    if (typeof name !== 'string' || !isTime(ends) || !isTime(up) || !isTime(left)) return null;
    const remaining = Math.min(sameBoot ? up - this.time.up() : ends - this.time.wall(), left);
    const record: LeaseRecord = {
      address,
      client,
      macHi: u16(mac, 0),
      macLo: u32(mac, 2),
      hostname: name,
      expiresAt: this.wheel.clock.now() + remaining,
    };
    return { record, unknown, size: 0 };
  }

  // Writing: one job at a time, which takes all that waits.

  private append(line: string, done: (() => void) | null): void {
    if (this.broken || this.shut) {
      done?.();
      return;
    }
    this.waiting.push({ line, done });
    this.start();
  }

  private start(): void {
    if (this.running || this.shut) return;
    this.running = true;
    this.work = this.run();
  }

  private async run(): Promise<void> {
    while (this.anew || this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        if (!this.broken) await this.write(batch.map(({ line }) => line).join(''));
      } catch (error) {
        await this.fail(error as Error);
      }
      for (const { done } of batch) done?.();
    }
    this.running = false;
  }

  private async write(lines: string): Promise<void> {
    const more = Buffer.byteLength(lines);
    if (this.handle === null || this.anew || this.size + more > 2 * this.live + SLACK) {
      await this.writeAnew();
      return;
    }
    await this.handle.writeFile(lines);
    await this.handle.datasync();
    this.size += more;
  }

  /** Writes all that is known, which what waits is part of, into a new file. */
  private async writeAnew(): Promise<void> {
    const header = { vdenet: 'leases', version: VERSION, boot: this.time.boot };
    let text = `${JSON.stringify(header)}\n`;
    for (const entry of [...this.entries.values()]) text += this.keep(entry);
    const temporary = `${this.path}.tmp`;
    await rm(temporary, { force: true });
    const handle = await this.openFile(temporary, 'ax', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
      await rename(temporary, this.path);
      await this.syncDirectory();
    } catch (error) {
      await handle.close();
      await rm(temporary, { force: true }); // a full disk needs the room
      throw error;
    }
    const former = this.handle;
    this.handle = handle;
    this.size = Buffer.byteLength(text);
    this.anew = false;
    await former?.close();
    if (this.warned) this.warn(`leases are written to ${this.path} again`);
    this.warned = false;
  }

  private async syncDirectory(): Promise<void> {
    const directory = await open(dirname(this.path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  private async fail(error: Error): Promise<void> {
    this.broken = true;
    this.anew = false;
    const handle = this.handle;
    this.handle = null;
    await handle?.close().catch(() => {}); // it is given up anyway
    if (!this.warned) this.warn(`leases are not written to ${this.path}: ${error.message}; serving from memory`);
    this.warned = true;
    this.retry.set(RETRY_MS);
  }
}

const isTime = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v);

/** The fields of one line, or null when it is none of ours. */
function fieldsOf(line: string): Fields | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
  } catch {
    return null; // torn, or not JSON at all
  }
}

/** The machine's clocks; without a boot id (outside of Linux) leases go by the wall clock. */
function machineTime(): LeaseTime {
  let boot = '';
  try {
    boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // not Linux
  }
  return { wall: Date.now, boot, up: () => Number(process.hrtime.bigint() / 1_000_000n) };
}
