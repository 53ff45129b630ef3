// What a switch costs while and after somebody sends from 200,000 random addresses.
//
//   node --import=tsx bench/switch-macs.ts vde_switch
//   node --import=tsx bench/switch-macs.ts node bin/vde_switch --nostdin
//
// The command is started with `-s DIRECTORY`. Two clients: frames go from one to the other, 64 bytes each, 128 on
// the way at most, in rounds of four passes:
//
//   quiet    from one address
//   thrown   every second frame is from one of 200,000 random addresses, to the same destination
//   after    from one address again, with what the switch has learned meanwhile
//   flood    every frame is from a random address, to all
//
// Told are CPU microseconds of the switch per frame that it forwarded, and frames per second; medians of the rounds. CPU
// is read from /proc/PID/task/*/schedstat. The first pass of all is not counted: programs warm up.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrameMemory, type FrameSink } from '../src/core/frame.ts';
import { Prng } from '../src/core/prng.ts';
import { VdeClient } from '../src/link/vde-client.ts';

const FRAMES = Number(process.env.FRAMES ?? 100_000);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const ADDRESSES = 200_000;
const BURST = 32;
const LEN = 64;
const WINDOW = Number(process.env.WINDOW ?? 128);
/** Turns of the event loop after which what has not come is lost. */
const PATIENCE = 20_000;

const random = new Prng(1);
const addresses = Int32Array.from({ length: ADDRESSES }, () => random.word());

function cpuUs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return ns / 1000;
}

class Counter implements FrameSink {
  frames = 0;
  frame(): void {
    this.frames++;
  }
  flush(): void {}
}

const memory = new FrameMemory();
const arena = memory.region(BURST * 128);
const heard = new Counter();
let next = 0;

/** Sends frames from `from`, every `every`th one from a random address (0: none); to the other client or to all. */
async function pass(pid: number, from: VdeClient, every: number, toAll: boolean) {
  const before = heard.frames;
  const cpu = cpuUs(pid);
  const start = performance.now();
  let lost = 0;
  for (let sent = 0; sent < FRAMES; ) {
    for (let i = 0; i < BURST; i++, sent++) {
      const at = arena + 2 + i * 128;
      const address = every > 0 && sent % every === 0 ? addresses[next++ % ADDRESSES]! : 0;
      memory.bytes.fill(0, at, at + LEN);
      memory.bytes.set(toAll ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, 2], at);
      const source = address === 0 ? [2, 0, 0, 0, 0, 1] : [6, 0, address >> 24, address >> 16, address >> 8, address];
      memory.bytes.set([...source, 0x88, 0xb5], at + 6);
      from.tx.frame(memory.bytes, at, LEN);
    }
    from.tx.flush();
    // At most WINDOW frames on the way: what is measured is the switch, not who drops more.
    for (let turns = 0; before + sent - lost - heard.frames > WINDOW; turns++) {
      await new Promise(setImmediate);
      if (turns > PATIENCE) lost = before + sent - heard.frames;
    }
  }
  const seconds = (performance.now() - start) / 1000;
  for (let was = -1; was !== heard.frames; await sleep(100)) was = heard.frames;
  const frames = heard.frames - before;
  return { us: (cpuUs(pid) - cpu) / frames, rate: frames / seconds, lost: 1 - frames / FRAMES };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

async function measure(child: ChildProcess, directory: string): Promise<void> {
  for (let i = 0; i < 1000 && !existsSync(join(directory, 'ctl')); i++) await sleep(10);
  const pid = child.pid!;
  const [one, two] = [
    await VdeClient.connect({ path: directory, description: 'one', memory, rejoin: false }),
    await VdeClient.connect({ path: directory, description: 'two', memory, rejoin: false }),
  ];
  two.attach(heard);
  one.attach(new Counter());
  const hello = Uint8Array.of(255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, ...new Uint8Array(50));
  two.tx.frame(hello, 0, hello.length);
  two.tx.flush();
  await sleep(200);
  const passes = { quiet: [0, false], thrown: [2, false], after: [0, false], flood: [1, true] } as const;
  const results = new Map<string, Awaited<ReturnType<typeof pass>>[]>();
  await pass(pid, one, 0, false);
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, [every, toAll]] of Object.entries(passes)) {
      const result = await pass(pid, one, every, toAll);
      results.set(name, [...(results.get(name) ?? []), result]);
    }
  const quiet = median(results.get('quiet')!.map(({ us }) => us));
  for (const [name, all] of results) {
    const us = median(all.map((r) => r.us));
    const rate = median(all.map((r) => r.rate));
    const lost = median(all.map((r) => r.lost));
    console.log(
      `${name.padEnd(7)} ${us.toFixed(2).padStart(7)} us per frame, ${(quiet / us).toFixed(2)} of quiet;` +
        ` ${Math.round(rate)} frames/s, ${(lost * 100).toFixed(1)} % lost`,
    );
  }
  await one.close();
  await two.close();
}

const [command, ...words] = process.argv.slice(2);
if (command === undefined) throw new Error('usage: switch-macs.ts COMMAND [ARGUMENT...]');
const parent = mkdtempSync(join(tmpdir(), 'macs-'));
const directory = join(parent, 'ctl');
const child = spawn(command, [...words, '-s', directory], { stdio: ['pipe', 'ignore', 'inherit'] });
const ended = new Promise((done) => child.once('exit', done));
try {
  await measure(child, directory);
} finally {
  child.kill();
  await ended;
  rmSync(parent, { recursive: true, force: true });
}
