// What the TCP engine needs from below and promises above. It knows neither NAT nor sockets nor IP versions.

/**
 * Where the segments of one connection go: a prepared route to the peer with its IP and Ethernet headers.
 * `reserve` and `commit` come in pairs and nothing is reserved in between.
 */
export interface SegmentPath {
  /** Memory that `reserve` gives offsets into. */
  readonly bytes: Uint8Array;
  /** Largest segment (TCP header, options and payload) that fits the path's MTU, bytes. May fall (PMTU). */
  readonly maxSegment: number;
  /**
   * True when the link computes checksums, and cuts a segment of up to OFFLOAD_MAX bytes into ones of `maxSegment`
   * (Link.offload).
   */
  readonly offload?: boolean;
  /**
   * Partial checksum of the pseudo-header without the length (RFC 9293 section 3.1), for checksum.ts's `partial`.
   */
  readonly pseudoSum: number;
  /** Room for a segment of `len` bytes; the offset of its first byte, which is 0 (mod 4) for IPv4. Never fails. */
  reserve(len: number): number;
  /** Completes and sends the segment reserved at `off`; its checksum is already in place. */
  commit(off: number, len: number): void;
}

/** Longest segment handed to a path that cuts it, bytes: with its IP header it has to fit a length field of 16 bits. */
export const OFFLOAD_MAX = 0xfc00;

/** Why a connection ended. */
export type TcpEnd =
  | 'closed' // both FINs exchanged (or TIME-WAIT began): an orderly end
  | 'reset' // the peer sent RST
  | 'refused' // the peer answered our SYN with RST
  | 'timeout' // retransmission, persist or keepalive gave up
  | 'aborted'; // our own reset() or an engine limit

/**
 * The owner of a connection. Called from within the engine; it may call any method of the connection, and bytes are on
 * loan until `data` returns. No call follows `ended`.
 */
export interface TcpUser {
  /** The handshake is complete (both opens). */
  established(): void;
  /** In-order bytes of the peer, all of which the owner takes now. */
  data(b: Uint8Array, off: number, len: number): void;
  /** The batch in which `data` was called is over: pass on what was collected. */
  flush(): void;
  /** The peer's FIN arrived behind all its data. */
  peerClosed(): void;
  /** Room in the send buffer again, after `write` took less than was offered. */
  writable(): void;
  ended(why: TcpEnd): void;
}

/** Connection states, RFC 9293 section 3.3.2. LISTEN is not one: `TcpEngine.onIncoming` stands for it. */
export const TcpState = {
  Closed: 0,
  SynSent: 1,
  SynReceived: 2,
  Established: 3,
  FinWait1: 4,
  FinWait2: 5,
  CloseWait: 6,
  Closing: 7,
  LastAck: 8,
  TimeWait: 9,
} as const;
export type TcpState = (typeof TcpState)[keyof typeof TcpState];

const STATE_NAMES = [
  'CLOSED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'ESTABLISHED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'CLOSE-WAIT',
  'CLOSING',
  'LAST-ACK',
  'TIME-WAIT',
] as const;

/** Name of a state as RFC 9293 spells it. */
export const stateName = (state: TcpState): string => STATE_NAMES[state];

/** Bounds and times of one engine. Bytes, counts and milliseconds. */
export interface TcpLimits {
  /** Bytes that one connection holds unsent or unacknowledged. */
  sendBuffer: number;
  /** What it grows to while the congestion window asks for more and no queue builds up on the path. */
  sendBufferMax: number;
  /** Receive window of a new connection, bytes; it doubles up to receiveBufferMax while the peer uses it up. */
  receiveBuffer: number;
  receiveBufferMax: number;
  /** Bytes that the windows of all connections together may grow by. */
  windowGrowth: number;
  /** Bytes of all send and reassembly buffers together. */
  memory: number;
  /** Connections in all, TIME-WAIT not counted; above it a SYN is ignored. */
  maxConnections: number;
  /** Connections in TIME-WAIT; the oldest are forgotten first. */
  maxTimeWait: number;
  /**
   * Connections in SYN-RECEIVED in all; above it the oldest is reset when it has been so for halfOpenGraceMs, else the SYN
   * waits (syn-queue.ts).
   */
  maxHalfOpen: number;
  /** The same of one remote address; above it the oldest of that remote is reset. */
  maxHalfOpenPerRemote: number;
  /** The same between one remote and one local address; above it a SYN waits in any case. */
  maxHalfOpenPerPair: number;
  halfOpenGraceMs: number;
  /** SYNs that wait for a place among the half-open connections, in all and of one remote address; more are ignored. */
  maxWaitingSyns: number;
  maxWaitingSynsPerRemote: number;
  /** Unanswered SYN or SYN,ACK: time until the open is given up. */
  handshakeMs: number;
  /** Deferred open: time until a SYN that the owner has not decided on is forgotten. */
  deferMs: number;
  timeWaitMs: number;
  /** Longest time that a RST waits for the data before it to be acknowledged. */
  resetLingerMs: number;
  /** No progress (or, at a zero window, no answer) for so long ends a connection (RFC 9293 3.8.3: R2 >= 100 s). */
  giveUpMs: number;
  /** Idle time before the first keepalive probe (RFC 9293 3.8.4: >= 2 h). */
  keepAliveIdleMs: number;
  /** The same once one direction has been closed. */
  halfClosedIdleMs: number;
  keepAliveIntervalMs: number;
  /** Unanswered keepalive probes that end a connection. */
  keepAliveProbes: number;
  /** Longest time an ACK waits for data to ride on (RFC 9293 3.8.6.3: < 500 ms); 0 never waits. */
  delayedAckMs: number;
  /** Segments sent per connection and event; the rest goes on with the next ACK. */
  burstSegments: number;
  /** Challenge ACKs per second of the whole engine (RFC 5961 section 10). */
  challengeAcksPerSec: number;
  /**
   * A loss on a path without a queue is taken for random and not for congestion (ADR 0006), and long paths are paced by what
   * they deliver (ADR 0011). For virtual Ethernet; false is what RFC 9438 says for shared networks.
   */
  randomLoss: boolean;
  /** Take up the timestamps option when the peer offers it (RFC 7323 section 3). */
  timestamps: boolean;
  /** Offer timestamps in active opens. */
  offerTimestamps: boolean;
}

export const DEFAULT_LIMITS: Readonly<TcpLimits> = {
  sendBuffer: 256 << 10,
  sendBufferMax: 4 << 20,
  receiveBuffer: 256 << 10,
  receiveBufferMax: 4 << 20,
  windowGrowth: 64 << 20,
  memory: 256 << 20,
  maxConnections: 16_384,
  maxTimeWait: 4096,
  maxHalfOpen: 2048,
  maxHalfOpenPerRemote: 256,
  maxHalfOpenPerPair: 64,
  halfOpenGraceMs: 1000,
  maxWaitingSyns: 4096,
  maxWaitingSynsPerRemote: 2048,
  handshakeMs: 10_000,
  deferMs: 30_000,
  timeWaitMs: 10_000,
  resetLingerMs: 10_000,
  giveUpMs: 100_000,
  keepAliveIdleMs: 7_200_000,
  halfClosedIdleMs: 240_000,
  keepAliveIntervalMs: 75_000,
  keepAliveProbes: 9,
  delayedAckMs: 40,
  burstSegments: 64,
  challengeAcksPerSec: 100,
  randomLoss: true,
  timestamps: true,
  offerTimestamps: false,
};

/** What an ICMP error says about a segment of ours (RFC 5461, RFC 5927). */
export type IcmpVerdict =
  | 'soft' // unreachable net or host, time exceeded: may pass
  | 'hard' // port or protocol unreachable, prohibited: final, but only while the connection is not open yet
  | 'too-big'; // fragmentation needed, packet too big

/** One connection as management sees it. */
export interface TcpSnapshot {
  /** `address:port` of our side (the address the peer speaks to) and of the peer. */
  local: string;
  remote: string;
  state: string;
  /** Payload bytes acknowledged by the peer, and received in order, since the start. */
  bytesSent: number;
  bytesReceived: number;
  /** Segments sent again. */
  retransmits: number;
  cwnd: number;
  ssthresh: number;
  /** Smoothed round-trip time, 0 before the first measurement. */
  srttMs: number;
  rtoMs: number;
  smss: number;
  sndWnd: number;
  rcvWnd: number;
  /** Bytes queued or in flight. */
  unacked: number;
}
