// TAP, inside a network namespace made for it (tap.test.ts): opens interfaces and lets the kernel answer an ARP request.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errnoName } from '../../src/native/errno.ts';
import { native, READABLE } from '../../src/native/native.ts';
import { hex } from '../support/hex.ts';

const api = native();
const FRAME_LEN = 42;
const STRIDE = 2112;

const REQUEST = hex(`
  ffffffffffff 020000000002 0806    # to all, from us: ARP
  0001 0800 06 04 0001              # request
  020000000002 0a090902             # we are 10.9.9.2
  000000000000 0a090901             # who has 10.9.9.1?
`);

const name = (result: number): string => (result < 0 ? errnoName(result) : 'ok');

/** Resolves with the reply's sender address, when the kernel answers the request that goes out with `header` before it. */
function ask(fd: number, header: number): Promise<string> {
  const memory = new Uint8Array(16 * STRIDE);
  const batch = api.newBatch(memory, 16);
  memory.set(REQUEST, header);
  batch.lens[0] = header + FRAME_LEN;
  if (api.writeFrames(fd, batch, 0, 1) !== 1) throw new Error('the request was not taken');
  return new Promise((resolve) => {
    const poll = api.poll(fd, READABLE, () => {
      const count = api.readFrames(fd, batch, 0, STRIDE, 16);
      for (let i = 0; i < count; i++) {
        const frame = memory.subarray(batch.offs[i]! + header, batch.offs[i]! + batch.lens[i]!);
        if (frame[12] !== 8 || frame[13] !== 6) continue; // what the kernel sends of itself
        api.pollClose(poll);
        resolve(frame.subarray(28, 32).join('.'));
      }
    });
  });
}

/** What a frame that is longer than its slot is told as. */
async function overlong(fd: number): Promise<boolean> {
  const memory = new Uint8Array(STRIDE);
  const batch = api.newBatch(memory, 1);
  memory.set(REQUEST);
  batch.lens[0] = FRAME_LEN;
  while (api.readFrames(fd, batch, 100, 20, 1) > 0);
  batch.offs[0] = 0;
  batch.lens[0] = FRAME_LEN;
  api.writeFrames(fd, batch, 0, 1);
  await new Promise<void>((resolve) => {
    const poll = api.poll(fd, READABLE, () => {
      api.pollClose(poll);
      resolve();
    });
  });
  return api.readFrames(fd, batch, 100, 20, 1) === 1 && batch.lens[0]! > 20 && memory[120] === 0;
}

export async function tap(): Promise<void> {
  const plain = api.tap('vdetap0', false);
  if (plain < 0) {
    console.log(JSON.stringify({ open: name(plain) }));
    return;
  }
  const vnet = api.tap('vdetap1', true);
  const batch = api.newBatch(Uint8Array.from(REQUEST), 1);
  batch.lens[0] = FRAME_LEN;
  const whileDown = api.writeFrames(plain, batch, 0, 1);
  for (const [dev, address] of [
    ['vdetap0', '10.9.9.1/24'],
    ['vdetap1', '10.9.9.1/24'],
  ] as const) {
    execFileSync('ip', ['address', 'add', address, 'dev', dev]);
    execFileSync('ip', ['link', 'set', dev, 'up']);
  }
  batch.lens[0] = 3;
  const seen = {
    open: 'ok',
    vnet: name(vnet),
    listed: /vdetap0:.*vdetap1:/s.test(readFileSync('/proc/net/dev', 'latin1')),
    again: name(api.tap('vdetap0', false)),
    slash: name(api.tap('a/b', false)),
    empty: name(api.tap('', false)),
    cut: name(api.tap('a\0b', false)),
    long: name(api.tap('a234567890123456', false)),
    whileDown: name(whileDown),
    short: name(api.writeFrames(plain, batch, 0, 1)),
    reply: await ask(plain, 0),
    replyVnet: await ask(vnet, 10),
    overlong: await overlong(plain),
    close: [api.close(plain), api.close(vnet)],
    gone: !readFileSync('/proc/net/dev', 'latin1').includes('vdetap'),
  };
  console.log(JSON.stringify(seen));
}
