// Segments on their way out: header, options, payload and checksum into the path's memory, once.

import * as tcp from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { sackLeft, sackRight } from './receive.ts';
import { TcpState } from './types.ts';

const NO_BLOCKS = new Uint32Array(0);

/**
 * Sends a segment of a connection that is past its SYN.
 *
 * @param flags    PSH, FIN, RST; ACK is added
 * @param seq      sequence of the first byte
 * @param dataLen  payload taken from the send buffer, bytes; fits the path with the options of a plain segment, or is a
 *                 multiple of that which the path cuts
 */
export function sendSegment(c: TcpConnection, flags: number, seq: number, dataLen: number): void {
  const { path, rcv, snd } = c;
  if (path === null) return;
  const blocks = rcv.sackBlocks();
  // Blocks that find no room beside the payload leave with an ACK of their own.
  const fits = blocks === 0 || tcp.HEADER_LEN + tcp.dataOptionsLen(rcv.tsEnabled, blocks) + dataLen <= path.maxSegment;
  const sacks = fits ? blocks : 0;
  const headerLen = tcp.HEADER_LEN + tcp.dataOptionsLen(rcv.tsEnabled, sacks);
  const len = headerLen + dataLen;
  const off = path.reserve(len);
  const b = path.bytes;
  const window = rcv.windowField(false);
  tcp.writeHeader(b, off, c.local.port, c.remote.port, seq, rcv.rcvNxt, headerLen, flags | tcp.ACK, window);
  if (headerLen > tcp.HEADER_LEN) {
    const at = off + tcp.HEADER_LEN;
    tcp.writeDataOptions(b, at, rcv.tsEnabled, c.timestamp(), rcv.tsRecent, sacks, sackLeft, sackRight);
  }
  if (dataLen > 0) snd.copyOut(seq, dataLen, b, off + headerLen);
  if (path.offload !== true) tcp.writeChecksum(b, off, len, path.pseudoSum);
  path.commit(off, len);
  if (fits) rcv.ackSent();
}

/** A segment without payload: sequence sndNxt, acknowledgment rcvNxt. */
export function sendAck(c: TcpConnection): void {
  sendSegment(c, 0, c.snd.sndNxt, 0);
}

/** SYN or, with the peer's SYN known, SYN,ACK. Window scale, SACK and timestamps as the connection has settled on. */
export function sendSyn(c: TcpConnection): void {
  const { path, rcv, snd } = c;
  if (path === null) return;
  const answer = c.state === TcpState.SynReceived;
  const shift = c.scaleOffered ? rcv.rcvWindShift : -1;
  const headerLen = tcp.HEADER_LEN + tcp.synOptionsLen(shift, rcv.sackEnabled, rcv.tsEnabled);
  const off = path.reserve(headerLen);
  const b = path.bytes;
  const flags = answer ? tcp.SYN | tcp.ACK : tcp.SYN;
  const ack = answer ? rcv.rcvNxt : 0;
  const window = rcv.windowField(true);
  tcp.writeHeader(b, off, c.local.port, c.remote.port, snd.iss, ack, headerLen, flags, window);
  const tsEcr = answer ? rcv.tsRecent : 0;
  tcp.writeSynOptions(b, off + tcp.HEADER_LEN, rcv.mss, shift, rcv.sackEnabled, rcv.tsEnabled, c.timestamp(), tsEcr);
  if (path.offload !== true) tcp.writeChecksum(b, off, headerLen, path.pseudoSum);
  path.commit(off, headerLen);
  if (answer) rcv.ackSent();
}

/**
 * RST of a connection that is to be forgotten: sequence `seq`, with ACK when `hasAck` (RFC 9293 section 3.5.2).
 */
export function sendReset(c: TcpConnection, seq: number, ack: number, hasAck: boolean): void {
  const { path } = c;
  if (path === null) return;
  const withTs = hasAck && c.rcv.tsEnabled && c.state !== TcpState.SynReceived;
  const headerLen = tcp.HEADER_LEN + tcp.dataOptionsLen(withTs, 0);
  const off = path.reserve(headerLen);
  const b = path.bytes;
  const flags = hasAck ? tcp.RST | tcp.ACK : tcp.RST;
  tcp.writeHeader(b, off, c.local.port, c.remote.port, seq, ack, headerLen, flags, 0);
  if (withTs) {
    const { rcv } = c;
    tcp.writeDataOptions(b, off + tcp.HEADER_LEN, true, c.timestamp(), rcv.tsRecent, 0, NO_BLOCKS, NO_BLOCKS);
  }
  if (path.offload !== true) tcp.writeChecksum(b, off, headerLen, path.pseudoSum);
  path.commit(off, headerLen);
}
