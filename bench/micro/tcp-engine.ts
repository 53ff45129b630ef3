// What one TCP segment costs in the engine, sender and receiver apart, and whether a stream allocates.
//
//   node --expose-gc --import=tsx bench/micro/tcp-engine.ts [MiB] [MTU] [ts]
//
// "out" is the sender from write() to commit(): copy into the send buffer, segmentation, header, copy and checksum, and its
// handling of ACKs. "in" is the receiver: checks, checksum, look-up, state machine, delivery, and the ACK it sends.

import { cpuMs } from './case.ts';
import { Bulk, Exchanges, TcpPair } from './tcp-pair.ts';

const MIB = Number(process.argv[2] ?? 512);
const MTU = Number(process.argv[3] ?? 1500);

const stream = new Bulk(new TcpPair(MTU, process.argv[4] === 'ts'));
const { toA, toB } = stream.pair;

function run(bytes: number): { outMs: number; inMs: number; segments: number; acks: number } {
  const goal = stream.sink.bytes + bytes;
  const segments0 = toB.payloadSegments;
  const acks0 = toA.segments;
  let outMs = 0;
  let inMs = 0;
  while (stream.sink.bytes < goal) {
    let t = cpuMs();
    stream.send();
    outMs += cpuMs() - t;
    t = cpuMs();
    stream.receive();
    inMs += cpuMs() - t;
  }
  return { outMs, inMs, segments: toB.payloadSegments - segments0, acks: toA.segments - acks0 };
}

run(64 << 20);
globalThis.gc?.();
const memory = process.memoryUsage().heapUsed;
for (let i = 0; i < 5; i++) {
  const r = run((MIB << 20) / 5);
  const per = (ms: number): string => `${((ms * 1e6) / r.segments).toFixed(0)} ns`;
  const gbit = ((MIB << 20) / 5 / ((r.outMs + r.inMs) * 1e6)) * 8;
  console.log(
    `MTU ${MTU}: out ${per(r.outMs)}, in ${per(r.inMs)} per segment; ${(r.segments / r.acks).toFixed(1)} segments per ACK; ` +
      `${gbit.toFixed(2)} Gbit/s both engines on one core`,
  );
}
globalThis.gc?.();
console.log(`heap ${((process.memoryUsage().heapUsed - memory) / 1024).toFixed(0)} KiB since warm-up`);

const pair = new TcpPair(MTU);
const connections = new Exchanges(pair);
for (let round = 0; round < 4; round++) {
  const t = cpuMs();
  const segments = pair.toA.segments + pair.toB.segments;
  connections.run(20_000);
  const us = ((cpuMs() - t) * 1000) / 20_000;
  const per = (pair.toA.segments + pair.toB.segments - segments) / 20_000;
  console.log(`open, exchange, close: ${us.toFixed(1)} us of both engines, ${per.toFixed(1)} segments each`);
}
process.exit(0); // timers of the last connections' TIME-WAIT are left
