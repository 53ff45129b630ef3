// One link for many peers: what hub://, multi:// and bonding:// of the plug library give their program.
//
//   hub      a frame goes to everybody but whom it came from: to us, and to all other peers
//   multi    what we send goes to all peers; what a peer sends comes to us only
//   bonding  what we send goes to one peer, the next one each time; what a peer sends comes to us only
//
// There is no learning and no look into frames. Peers come and go; without any, what is sent is dropped and counted.

import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameSink, type Link, newLinkStats } from '../core/frame.ts';

export type Spread = 'hub' | 'multi' | 'bonding';

export class PeerGroup implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  readonly tx: FrameSink;
  onState: ((up: boolean) => void) | null = null;
  private readonly spread: Spread;
  private readonly peers: Link[] = [];
  private sink: FrameSink | null = null;
  /** Whose turn it is, in bonding. */
  private turn = 0;

  constructor(name: string, spread: Spread, mtu: number) {
    this.name = name;
    this.spread = spread;
    this.mtu = mtu;
    this.tx = {
      frame: (b, off, len) => this.send(b, off, len),
      flush: () => this.flushPeers(),
    };
  }

  /** Takes a peer in, until its `onState(false)`. */
  add(peer: Link): void {
    const { peers } = this;
    peers.push(peer);
    peer.attach({
      frame: (b, off, len) => {
        this.stats.rxFrames++;
        this.stats.rxBytes += len;
        this.sink?.frame(b, off, len);
        if (this.spread !== 'hub') return;
        for (let i = 0; i < peers.length; i++) if (peers[i] !== peer) peers[i]!.tx.frame(b, off, len);
      },
      flush: () => {
        this.sink?.flush();
        if (this.spread === 'hub') this.flushPeers();
      },
    });
    peer.onState = (up) => {
      if (!up && peers.includes(peer)) peers.splice(peers.indexOf(peer), 1);
    };
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
  }

  /** The peers stay whoever's they are. */
  async close(): Promise<void> {
    this.sink = null;
    this.peers.length = 0;
  }

  private send(b: Uint8Array, off: number, len: number): void {
    const { peers } = this;
    if (peers.length === 0) {
      this.drops[Drop.LinkDown]!++;
      return;
    }
    this.stats.txFrames++;
    this.stats.txBytes += len;
    if (this.spread === 'bonding') {
      this.turn = (this.turn + 1) % peers.length;
      peers[this.turn]!.tx.frame(b, off, len);
    } else for (let i = 0; i < peers.length; i++) peers[i]!.tx.frame(b, off, len);
  }

  private flushPeers(): void {
    for (let i = 0; i < this.peers.length; i++) this.peers[i]!.tx.flush();
  }
}
