import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { FrameMemory } from '../../src/core/frame.ts';
import { CapturedLink, CaptureFile, type CaptureOptions } from '../../src/link/capture.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { linkCompliance } from '../compliance/link.ts';
import { numbered, Recorder, tempDir } from './support.ts';

linkCompliance(test, 'captured link', async (t) => {
  const file = await CaptureFile.open({ path: join(tempDir(t), 'x.pcapng') });
  t.teardown(() => file.close());
  const [a, b] = memoryPair('test', { delivery: 'loop' });
  return { a: new CapturedLink(a, file), b, memory: new FrameMemory(1 << 20) };
});

interface Packet {
  id: number;
  us: number;
  frame: Buffer;
  len: number;
  direction: number;
}

/** The packets of a pcapng file, and the types of its blocks. */
function read(path: string): { types: number[]; packets: Packet[] } {
  const bytes = readFileSync(path);
  const types: number[] = [];
  const packets: Packet[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
    const total = bytes.readUInt32LE(at + 4);
    types.push(bytes.readUInt32LE(at));
    if (bytes.readUInt32LE(at + total - 4) !== total) throw new Error(`block at ${at}: lengths differ`);
    if (types[types.length - 1] !== 6) continue;
    const kept = bytes.readUInt32LE(at + 20);
    const options = at + 28 + ((kept + 3) & ~3);
    packets.push({
      id: bytes.readUInt32LE(at + 8),
      us: bytes.readUInt32LE(at + 12) * 2 ** 32 + bytes.readUInt32LE(at + 16),
      frame: bytes.subarray(at + 28, at + 28 + kept),
      len: bytes.readUInt32LE(at + 24),
      direction: bytes[options + 4]!,
    });
  }
  return { types, packets };
}

const send = (link: { tx: { frame: (b: Uint8Array, o: number, l: number) => void } }, frame: Uint8Array) =>
  link.tx.frame(frame, 0, frame.length);

test('both directions of two links end up in one file, mode 0600', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  const file = await CaptureFile.open({ path, now: () => 1_700_000_000_123.5 });
  const [a, b] = memoryPair('one', { delivery: 'direct' });
  const [c, d] = memoryPair('two', { delivery: 'direct' });
  const first = new CapturedLink(a, file);
  const second = new CapturedLink(c, file);
  for (const link of [first, b, second, d]) link.attach(new Recorder());
  send(first, numbered(1));
  send(b, numbered(2, 61));
  send(second, numbered(3));
  await file.close();
  await file.close();
  const { types, packets } = read(path);
  t.deepEqual(types, [0x0a0d0d0a, 1, 1, 6, 6, 6]);
  t.deepEqual(
    packets.map((p) => ({ ...p, frame: new Uint8Array(p.frame) })),
    [
      { id: 0, us: 1_700_000_000_123_500, frame: numbered(1), len: 60, direction: 2 },
      { id: 0, us: 1_700_000_000_123_500, frame: numbered(2, 61), len: 61, direction: 1 },
      { id: 1, us: 1_700_000_000_123_500, frame: numbered(3), len: 60, direction: 2 },
    ],
  );
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(file.frames, 3);
});

/** Captures frames that are sent through a link, and gives what the file says. */
async function captured(options: CaptureOptions, frames: Uint8Array[]) {
  const file = await CaptureFile.open(options);
  const [a, b] = memoryPair('one', { delivery: 'direct' });
  const link = new CapturedLink(a, file);
  const sink = new Recorder();
  b.attach(sink);
  for (const frame of frames) send(link, frame);
  const { stopped } = file;
  await file.close();
  return { file, sink, stopped };
}

test('snapLen cuts what is kept, not what passes', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  const { sink } = await captured({ path, snapLen: 20 }, [numbered(1, 1000)]);
  t.is(sink.frames[0]!.length, 1000);
  const [packet] = read(path).packets;
  t.deepEqual([packet!.frame.length, packet!.len], [20, 1000]);
});

test('at the size limit the capture stops and counts; frames still pass', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  const frames = Array.from({ length: 20 }, (_, i) => numbered(i, 100));
  const { file, sink, stopped } = await captured({ path, maxBytes: 1000 }, frames);
  t.is(sink.frames.length, 20);
  t.regex(stopped!, /limit of 1000 bytes/);
  t.is(file.frames + file.missed, 20);
  t.true(file.frames > 3 && statSync(path).size <= 1000);
  t.is(read(path).packets.length, file.frames);
});

test('frames beyond the queue are missed and counted; a later one is captured again', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  const file = await CaptureFile.open({ path });
  const id = file.addInterface('x');
  const frame = numbered(1, 9000);
  for (let i = 0; i < 600; i++) file.packet(id, frame, 0, frame.length, 1);
  t.true(file.missed > 100 && file.frames > 400, `${file.frames} and ${file.missed}`);
  const before = file.frames;
  while (file.frames === before) {
    await new Promise((done) => setImmediate(done));
    file.packet(id, frame, 0, frame.length, 1);
  }
  await file.close();
  t.is(read(path).packets.length, file.frames);
});

test('a full disk stops the capture, not the link', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  const file = await CaptureFile.open({ path });
  const id = file.addInterface('x');
  const { handle } = file as unknown as { handle: { write: () => Promise<never> } };
  handle.write = () => Promise.reject(new Error('ENOSPC: no space left on device'));
  file.packet(id, numbered(1), 0, 60, 1);
  while (file.stopped === null) await new Promise((done) => setImmediate(done));
  t.regex(file.stopped, /ENOSPC/);
  file.packet(id, numbered(2), 0, 60, 1);
  t.is(file.missed, 1);
  await file.close();
});

test('an existing file of ours is overwritten and made private', async (t) => {
  const path = join(tempDir(t), 'x.pcapng');
  writeFileSync(path, 'x'.repeat(5000), { mode: 0o644 });
  await captured({ path }, [numbered(1)]);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(read(path).packets.length, 1);
});

test('links, directories, devices and files with a second name are refused and stay as they are', async (t) => {
  const dir = tempDir(t);
  const open = (name: string) => CaptureFile.open({ path: join(dir, name) });
  writeFileSync(join(dir, 'target'), 'mine');
  symlinkSync(join(dir, 'target'), join(dir, 'link'));
  await t.throwsAsync(() => open('link'), { code: 'ERR_VDE_SYSTEM' });
  linkSync(join(dir, 'target'), join(dir, 'second'));
  await t.throwsAsync(() => open('second'), { code: 'ERR_VDE_SYSTEM', message: /not a regular file of this user/ });
  t.is(readFileSync(join(dir, 'target'), 'utf8'), 'mine');
  mkdirSync(join(dir, 'dir'));
  await t.throwsAsync(() => open('dir'), { code: 'ERR_VDE_SYSTEM' });
  await t.throwsAsync(() => CaptureFile.open({ path: '/dev/null' }), { code: 'ERR_VDE_SYSTEM' });
  chmodSync(dir, 0o755);
});
