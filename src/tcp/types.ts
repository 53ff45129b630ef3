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
   * Partial checksum of the pseudo-header without the length (RFC 9293 section 3.1), for checksum.ts's `partial`.
   */
  readonly pseudoSum: number;
  /** Room for a segment of `len` bytes; the offset of its first byte, which is 0 (mod 4) for IPv4. Never fails. */
  reserve(len: number): number;
  /** Completes and sends the segment reserved at `off`; its checksum is already in place. */
  commit(off: number, len: number): void;
}

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
