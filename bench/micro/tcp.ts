// The TCP engine: a full segment through both engines, small ones, and whole connections.

import type { Case } from './case.ts';
import { Bulk, Exchanges, TcpPair } from './tcp-pair.ts';

/** The operation: one segment of payload from the sender's write() to the receiver's user, ACKs included. */
function bulk(mtu: number): (n: number) => void {
  const stream = new Bulk(new TcpPair(mtu));
  let goal = 0; // of all calls: one turn moves hundreds of segments
  return (n) => {
    goal += n;
    while (stream.pair.toB.payloadSegments < goal) {
      stream.send();
      stream.receive();
    }
  };
}

/** The operation: open, 100 bytes and an answer, close; both engines. */
function exchanges(): (n: number) => void {
  const connections = new Exchanges(new TcpPair(1500));
  return (n) => connections.run(n);
}

const TCP: readonly Case[] = [
  { name: 'tcp: a segment of 1460 bytes, both ends', prepare: () => bulk(1500) },
  { name: 'tcp: a segment of 8960 bytes, both ends', prepare: () => bulk(9000) },
  { name: 'tcp: open, exchange, close, both ends', prepare: exchanges },
];

export default TCP;
