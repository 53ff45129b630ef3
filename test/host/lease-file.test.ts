import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { LeaseFile, type LeaseFileOptions, type LeaseTime, RETRY_MS } from '../../src/host/lease-file.ts';
import type { LeaseRecord } from '../../src/services/index.ts';
import { FakeClock } from '../support/fake-clock.ts';

const DAY = 86_400_000;
const BASE = 0x0a00020f;

/** The machine: its clocks run with the fake one, and can be set. */
class Machine {
  readonly clock: FakeClock;
  boot = 'boot-1';
  wallOffset = 1_760_000_000_000;
  upOffset = 5000;
  readonly time: LeaseTime;

  constructor(start = 1_000_000) {
    const clock = new FakeClock(start);
    this.clock = clock;
    const machine = this;
    this.time = {
      wall: () => machine.wallOffset + clock.now(),
      get boot() {
        return machine.boot;
      },
      up: () => machine.upOffset + clock.now(),
    };
  }
}

function setup(t: ExecutionContext) {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-leases-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'leases');
  const warnings: string[] = [];
  const files: LeaseFile[] = [];
  t.teardown(() => Promise.all(files.map((f) => f.close())));
  return {
    dir,
    path,
    warnings,
    open(machine: Machine, more: Partial<LeaseFileOptions> = {}): LeaseFile {
      const wheel = new TimerWheel(machine.clock);
      const file = new LeaseFile({ path, wheel, time: machine.time, warn: (line) => warnings.push(line), ...more });
      files.push(file);
      return file;
    },
    /** What the next start would read: a copy is read, since a file has one writer. */
    peek(machine: Machine, from = path): readonly LeaseRecord[] {
      const copy = join(dir, `copy-${files.length}`);
      copyFileSync(from, copy);
      return this.open(machine, { path: copy }).load();
    },
  };
}

const record = (machine: Machine, n: number, more: Partial<LeaseRecord> = {}): LeaseRecord => ({
  address: BASE + n,
  client: `hw:02000000000${n}`,
  macHi: 0x0200,
  macLo: 0x80000000 + n,
  hostname: `guest-${n}`,
  expiresAt: machine.clock.now() + DAY,
  ...more,
});
const put = (file: LeaseFile, r: LeaseRecord): Promise<void> => new Promise((resolve) => file.put(r, resolve));

test('what is confirmed is in the file, and comes back', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  t.deepEqual(file.load(), []);
  await put(file, record(m, 1));
  t.regex(readFileSync(s.path, 'utf8'), /"ip":"10\.0\.2\.16".*"name":"guest-1".*\n$/);
  t.is(statSync(s.path).mode & 0o777, 0o600);
  await Promise.all([put(file, record(m, 2)), put(file, record(m, 1, { hostname: 'new' })), put(file, record(m, 3))]);
  file.remove(BASE + 3);
  await put(file, record(m, 4, { expiresAt: m.clock.now() - 5 }));
  t.deepEqual(s.peek(m), [
    record(m, 2),
    record(m, 1, { hostname: 'new' }),
    record(m, 4, { expiresAt: m.clock.now() - 5 }),
  ]);
  t.deepEqual(s.warnings, []);
});

test('close writes what was not yet written, and leaves no other file', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  for (let i = 0; i < 50; i++) file.put(record(m, i), () => {});
  await file.close();
  t.deepEqual(readdirSync(s.dir), ['leases']);
  t.is(s.peek(m).length, 50);
  await file.close();
});

test('another start of the program: the deadline holds whatever the wall clock did', async (t) => {
  for (const jump of [0, 50 * 365 * DAY, -50 * 365 * DAY]) {
    const s = setup(t);
    const before = new Machine();
    const file = s.open(before);
    await put(file, record(before, 1));
    await file.close();
    const after = new Machine(77); // the clock of a process starts anew
    after.upOffset = before.time.up() + DAY / 4 - 77;
    after.wallOffset = before.time.wall() + DAY / 4 + jump - 77;
    t.is(s.peek(after)[0]!.expiresAt, 77 + (DAY * 3) / 4, `jump of ${jump}`);
  }
});

test('another start of the machine: the wall clock counts, and a lease never grows', async (t) => {
  for (const [jump, want] of [
    [DAY / 4, (DAY * 3) / 4],
    [3 * DAY, -2 * DAY],
    [-365 * DAY, DAY],
  ] as const) {
    const s = setup(t);
    const before = new Machine();
    const file = s.open(before);
    await put(file, record(before, 1));
    await file.close();
    const after = new Machine(77);
    after.boot = 'boot-2';
    after.wallOffset = before.time.wall() + jump - 77;
    t.is(s.peek(after)[0]!.expiresAt, 77 + want, `${jump / DAY} days later`);
  }
});

test('a torn last record is ignored, and does not spoil the next', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  await put(file, record(m, 1));
  await put(file, record(m, 2));
  await file.close();
  const text = readFileSync(s.path, 'utf8');
  const second = text.trimEnd().lastIndexOf('\n') + 1;
  for (let cut = second; cut < text.length - 1; cut += 7) {
    writeFileSync(s.path, text.slice(0, cut));
    const again = s.open(m);
    t.deepEqual(again.load(), [record(m, 1)], `${cut}`);
    await put(again, record(m, 3));
    await again.close();
    t.deepEqual(s.peek(m), [record(m, 1), record(m, 3)]);
  }
});

test('lines that say nothing, and values that are none, are passed over', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  await put(file, record(m, 1));
  await file.close();
  const good = readFileSync(s.path, 'utf8').split('\n')[1]!;
  for (const bad of [
    '',
    '{}',
    '[]',
    'null',
    '7',
    '\0\0\0',
    good.replace('10.0.2.16', '10.0.2.999'),
    good.replace('10.0.2.16', '10.0.2.20').replace(/"mac":"[^"]*"/, '"mac":"x"'),
    good.replace('10.0.2.16', '10.0.2.20').replace(/"ends":\d+/, '"ends":null'),
    good.replace('10.0.2.16', '10.0.2.20').replace(/"client":"[^"]*"/, `"client":"${'x'.repeat(2000)}"`),
    good.replace('10.0.2.16', '10.0.2.20').replace(/"name":"[^"]*"/, '"name":{}'),
    '{"ip":"10.0.2.200","gone":true}',
    '{"ip":"__proto__","gone":true}',
  ]) {
    appendFileSync(s.path, `${bad}\n`);
  }
  t.deepEqual(s.peek(m), [record(m, 1)]);
});

test('fields of a later version are kept through changes and compaction', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  await put(file, record(m, 1));
  await file.close();
  writeFileSync(s.path, readFileSync(s.path, 'utf8').replace('"mac"', '"colour":{"red":1},"mac"'));
  const again = s.open(m);
  await put(again, record(m, 1, { hostname: 'renewed' }));
  await again.close();
  const text = readFileSync(s.path, 'utf8');
  t.is(text.split('"colour":{"red":1}').length - 1, 2, text);
  const other = s.open(m);
  await put(other, record(m, 1, { client: 'id:somebody-else' }));
  await other.close();
  t.notRegex(readFileSync(s.path, 'utf8').split('\n').at(-2)!, /colour/, 'another client’s lease is another thing');
});

for (const [what, text, why] of [
  ['another file', 'root:x:0:0:root:/root:/bin/bash\n', /is no lease file/],
  ['a later version', '{"vdenet":"leases","version":2}\n', /another version/],
] as const) {
  test(`${what} is refused and left alone`, (t) => {
    const s = setup(t);
    writeFileSync(s.path, text);
    t.throws(() => s.open(new Machine()), { code: 'ERR_VDE_BAD_OPTION', message: why });
    t.is(readFileSync(s.path, 'utf8'), text);
  });
}

test('a path that cannot be read is refused', (t) => {
  const s = setup(t);
  t.throws(() => s.open(new Machine(), { path: s.dir }), { code: 'ERR_VDE_BAD_OPTION', message: /EISDIR/ });
});

test('the file stays within twice its content', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const file = s.open(m);
  let longest = 0;
  for (let i = 0; i < 300; i++) {
    await put(file, record(m, i % 3));
    longest = Math.max(longest, statSync(s.path).size);
  }
  const live = readFileSync(s.path, 'utf8').split('\n')[1]!.length * 3;
  t.true(longest > 4096, 'it is appended to');
  t.true(longest <= 2 * live + 4096 + 300, `${longest}`);
  t.is(s.peek(m).length, 3);
});

test('directory gone: served from memory, one warning, written again after 60 s', async (t) => {
  const s = setup(t);
  const m = new Machine();
  const path = join(s.dir, 'state/leases');
  const file = s.open(m, { path });
  await put(file, record(m, 1));
  await put(file, record(m, 2));
  t.is(s.warnings.length, 1);
  t.regex(s.warnings[0]!, /leases are not written to .*ENOENT/);
  t.is(file.load().length, 2, 'memory has them');
  m.clock.advance(RETRY_MS);
  await put(file, record(m, 3));
  t.is(s.warnings.length, 1, 'a second failure is not news');
  mkdirSync(join(s.dir, 'state'));
  m.clock.advance(RETRY_MS);
  await put(file, record(m, 4));
  t.is(s.peek(m, path).length, 4);
  t.regex(s.warnings[1]!, /again/);
});

test('disk full while appending: what waits is confirmed from memory; later all of it is written', async (t) => {
  const s = setup(t);
  const m = new Machine();
  let full = false;
  const openFile = (async (path: string, flags: string, mode: number) => {
    const handle = await open(path, flags, mode);
    const write = handle.writeFile.bind(handle);
    handle.writeFile = async (data) => {
      if (!full) return write(data);
      await write(String(data).slice(0, 20)); // a part of it still fits
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    };
    return handle;
  }) as typeof open;
  const file = s.open(m, { openFile });
  await put(file, record(m, 1));
  full = true;
  await Promise.all([put(file, record(m, 2)), put(file, record(m, 3))]);
  await put(file, record(m, 4));
  t.is(s.warnings.length, 1);
  t.deepEqual(s.peek(new Machine(m.clock.now())).length, 1, 'the torn rest is no record');
  full = false;
  m.clock.advance(RETRY_MS);
  await put(file, record(m, 5));
  await file.close();
  t.is(s.peek(m).length, 5);
});

test('kill -9 in the middle: every lease that was confirmed is there after the restart', async (t) => {
  const s = setup(t);
  const script = fileURLToPath(new URL('./lease-file-child.ts', import.meta.url));
  const confirmed = new Map<number, number>();
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, ['--import=tsx', script, s.path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let lines = 0;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      lines += chunk.split('\n').length - 1;
      if (lines > 300 + 137 * round) child.kill('SIGKILL');
    });
    await once(child, 'close');
    t.is(child.signalCode, 'SIGKILL', text);
    confirmed.clear();
    for (const line of text.split('\n').slice(0, -1)) {
      const [address, name] = line.split(' ');
      confirmed.set(Number(address), Number(name!.slice('guest-'.length)));
    }
    const m = new Machine();
    const wheel = new TimerWheel(m.clock);
    const file = new LeaseFile({ path: s.path, wheel, warn: (line) => t.fail(line) });
    const found = new Map(file.load().map((r) => [r.address, r]));
    await file.close();
    t.is(confirmed.size, 200);
    for (const [address, n] of confirmed) {
      const r = found.get(address)!;
      t.true(Number(r.hostname.slice('guest-'.length)) >= n, `${r.hostname}, confirmed ${n}`);
      const remaining = r.expiresAt - m.clock.now();
      t.true(remaining > DAY - 60_000 && remaining <= DAY, `${remaining}`);
    }
  }
});
