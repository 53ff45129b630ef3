// Mutated frames of several guests into a real switch, with what comes back fed to the generator. Every 64 frames an echo
// request to the router waits for its answer, so that nothing is lost in a queue, and so that the router is known to live.
import { setTimeout as delay } from 'node:timers/promises';
import { FrameMemory } from '../../../src/core/frame.ts';
import { VdeClient } from '../../../src/link/index.ts';
import * as icmp from '../../../src/wire/icmpv4.ts';
import { Random } from '../../fuzz/support/random.ts';
import { Traffic } from '../../fuzz/support/traffic.ts';
import { arpFrame, echoFrame } from '../../support/guest-frames.ts';
import { GATEWAY } from './lab.ts';

const BATCH = 64;
const STATION = { srcMac: '52:54:00:ee:ee:ee', src: '10.0.2.240' };
const ID = 0xeeee;
const PATIENCE_MS = 5000;

/** Sends `frames` frames to the switch at `ctl`. Throws when the router stops answering. */
export async function flood(ctl: string, frames: number, seed: number): Promise<void> {
  const link = await VdeClient.connect({ path: ctl, description: 'flood', memory: new FrameMemory() });
  const traffic = new Traffic(new Random(seed));
  let answered = -1;
  link.attach({
    frame: (b, off, len) => {
      const f = Uint8Array.prototype.slice.call(b, off, off + len);
      if (len < 42 || f[12] !== 8) return;
      const reply = f[13] === 0 && f[23] === 1 && f[34] === icmp.TYPE_ECHO_REPLY && icmp.echoId(f, 34) === ID;
      if (reply) answered = icmp.echoSeq(f, 34);
      else if (f[0] === 0x52 && f[6] === 0x52 && f[7] === 0x55) traffic.hear(f); // from the router to a guest
    },
    flush: () => {},
  });
  const send = (f: Uint8Array): void => link.tx.frame(f, 0, f.length);
  const barrier = async (n: number): Promise<void> => {
    const seq = n & 0xffff;
    for (const end = Date.now() + PATIENCE_MS; answered !== seq; ) {
      send(arpFrame({ srcMac: STATION.srcMac, spa: STATION.src, tpa: GATEWAY }));
      send(echoFrame({ ...STATION, dstMac: '52:55:0a:00:02:02', dst: GATEWAY, id: ID, seq }));
      link.tx.flush();
      for (let i = 0; i < 20 && answered !== seq; i++) await delay(answered === seq ? 0 : 1);
      if (Date.now() > end) throw new Error(`no answer of the router after ${n} batches of ${BATCH} frames`);
    }
  };
  try {
    for (let sent = 0; sent < frames; sent += BATCH) {
      for (let i = 0; i < BATCH; i++) send(traffic.next());
      link.tx.flush();
      await barrier(sent / BATCH);
    }
  } finally {
    await link.close();
  }
}
