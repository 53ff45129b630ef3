// Switches, plugs and stations of the tests of cables: no namespaces, everything in one temporary directory.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { FrameMemory } from '../../../src/core/frame.ts';
import { VdeClient } from '../../../src/link/vde-client.ts';
import { numbered, Recorder } from '../../link/support.ts';
import { listens } from './listens.ts';
import { PROJECT } from './namespace.ts';
import { Child, commandOf, processesOf, until } from './process.ts';
import { interopTest } from './suite.ts';

/** The words that start a command of ours. */
export const ours = (name: string): string[] => [process.execPath, join(PROJECT, 'bin', name)];

export class Bench {
  readonly dir: string;
  private readonly memory = new FrameMemory(32 << 20);
  private readonly children: Child[] = [];
  private readonly stations: VdeClient[] = [];

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'vdenet-plug-'));
  }

  /** Ends everything; the processes that were left behind. */
  async close(): Promise<string[]> {
    for (const station of this.stations) await station.close();
    for (const child of [...this.children].reverse()) await child.stop();
    const left = processesOf(this.dir);
    const names = left.map(commandOf);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
    return names;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
    const child = new Child(this.dir, argv, argv.join(' '), { HOME: this.dir, ...env });
    this.children.push(child);
    return child;
  }

  /** Debian's switch; the path. */
  async switch(name: string): Promise<string> {
    await this.startSwitch(name);
    return this.path(name);
  }

  async startSwitch(name: string): Promise<Child> {
    const child = this.start(['vde_switch', '-s', this.path(name)]);
    await until(
      () => listens(join(this.path(name), 'ctl')),
      5000,
      () => `vde_switch: ${child.stderr}`,
    );
    return child;
  }

  /** A station at a switch, and what it hears. */
  async station(path: string): Promise<Station> {
    const link = await VdeClient.connect({ path, description: 'station', memory: this.memory });
    this.stations.push(link);
    const heard = new Recorder();
    link.attach(heard);
    return { link, heard };
  }
}

/** Declares a test that has a bench, on which nothing may be left at its end. */
export function benchTest(
  title: string,
  needs: readonly string[],
  body: (t: ExecutionContext, bench: Bench) => Promise<void>,
): void {
  interopTest(title, needs, async (t) => {
    const bench = new Bench();
    try {
      await body(t, bench);
    } catch (error) {
      await bench.close();
      throw error;
    }
    t.deepEqual(await bench.close(), [], 'processes are left');
  });
}

export interface Station {
  readonly link: VdeClient;
  readonly heard: Recorder;
}

export function send({ link }: Station, ...frames: readonly Uint8Array[]): void {
  for (const frame of frames) link.tx.frame(frame, 0, frame.length);
  link.tx.flush();
}

let count = 0;

/** Frames of many lengths pass between two stations, both ways, whole and in order. */
export async function connected(t: ExecutionContext, a: Station, b: Station, what: string): Promise<void> {
  const hello = numbered(++count);
  const came = (): boolean => b.heard.numbers.includes(count);
  await until(
    () => {
      if (!came()) send(a, hello);
      return came();
    },
    8000,
    `${what}: the first frame`,
  );
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const frames = [60, 61, 128, 512, 1000, 1513, 1514, 60, 1514].map((len) => numbered(++count, len));
    const first = count - frames.length + 1;
    send(from, ...frames);
    const seen = (): Uint8Array[] => to.heard.frames.filter((_, i) => to.heard.numbers[i]! >= first);
    await until(
      () => seen().length >= frames.length,
      5000,
      () => `${what}: ${seen().length} of ${frames.length} frames`,
    );
    t.deepEqual(
      seen().map((frame) => Buffer.from(frame).toString('hex')),
      frames.map((frame) => Buffer.from(frame).toString('hex')),
      what,
    );
  }
}

/** A frame of the plug stream. */
export const framed = (frame: Uint8Array): Buffer => Buffer.concat([Buffer.of(frame.length >> 8, frame.length), frame]);

/** The whole frames of a plug stream. */
export function unframed(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 2 <= stream.length; ) {
    const len = stream.readUInt16BE(at);
    if (at + 2 + len > stream.length) break;
    frames.push(stream.subarray(at + 2, at + 2 + len));
    at += 2 + len;
  }
  return frames;
}
