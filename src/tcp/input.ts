// What a segment does to a connection: RFC 9293 sections 3.10.7.3 (SYN-SENT) and 3.10.7.4 (all other states), with
// RFC 5961 (blind attacks) and RFC 7323 section 5 (old duplicates).
//
// Order of the checks: timestamp, sequence, RST, SYN, ACK, window and acknowledgment, payload, FIN. The first lines of
// `segmentArrives` are a short cut for what nearly all segments are: in order, nothing special, on an open connection.
// Calls of the owner may end the connection; everything after one looks at `c.over`.
//
// The urgent pointer is ignored: urgent data is delivered in line (RFC 6093 section 3). Payload of a SYN is not taken and
// not acknowledged; the peer sends it again.

import { Drop } from '../core/drop.ts';
import { seqDiff, seqGe, seqGt, seqInt, seqLe, seqLt } from '../core/seq.ts';
import * as tcp from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { sendReset } from './output.ts';
import type { Segment } from './segment.ts';
import { TcpState } from './types.ts';

const ORDINARY = tcp.SYN | tcp.FIN | tcp.RST | tcp.ACK;

/** A segment for `c`, which is past SYN-SENT and not deferred. */
export function segmentArrives(c: TcpConnection, seg: Segment): void {
  const { engine, rcv } = c;
  const { options } = seg;
  if (
    c.state === TcpState.Established &&
    (seg.flags & ORDINARY) === tcp.ACK &&
    seg.seq === rcv.rcvNxt &&
    rcv.inSequence &&
    seg.len <= rcv.rcvWnd &&
    options.hasTimestamp === rcv.tsEnabled &&
    (!rcv.tsEnabled || seqGe(options.tsVal, rcv.tsRecent)) &&
    seqLe(seg.ack, c.snd.sndNxt) &&
    seqGe(seg.ack, c.snd.sndUna)
  ) {
    c.lastHeardMs = engine.now;
    if (rcv.tsEnabled) {
      rcv.noteTimestamp(options.tsVal | 0, seg.seq, engine.now);
      if (seg.len > 0) rcv.noteEcho(options.tsEcr);
    }
    c.snd.acknowledge(seg);
    if (seg.len > 0) rcv.inOrder(seg.b, seg.off, seg.len);
    return;
  }
  if (!timestampPasses(c, seg)) return;
  if (!sequencePasses(c, seg)) return;
  c.lastHeardMs = engine.now;
  if (seg.isRst) {
    resetArrives(c, seg);
    return;
  }
  if (seg.isSyn && !handshakeRepeats(c, seg)) {
    engine.drops[Drop.TcpChallenged]!++;
    c.challenge();
    return;
  }
  if (rcv.tsEnabled && options.hasTimestamp) {
    rcv.noteTimestamp(options.tsVal | 0, seg.seq, engine.now);
    if (seg.len > 0) rcv.noteEcho(options.tsEcr);
  }
  if (!seg.hasAck) return;
  if (c.state === TcpState.SynReceived && !handshakeCompletes(c, seg)) return;
  if (c.over || !ackPasses(c, seg)) return;
  c.snd.acknowledge(seg);
  if (c.snd.finAcked && !closingAdvances(c)) return;
  if (seg.isSyn) {
    rcv.ackNow = true;
    return;
  }
  if (seg.len === 0 && !seg.isFin) return;
  if (c.state === TcpState.Established || c.state === TcpState.FinWait1 || c.state === TcpState.FinWait2) {
    rcv.segment(seg.b, seg.off, seg.len, seg.seq, seg.isFin);
  } else {
    // Behind the peer's FIN nothing can come; its FIN again means that our ACK was lost.
    rcv.ackNow = true;
    if (seg.len > 0 && seqGt(seqInt(seg.seq, seg.len), rcv.rcvNxt)) engine.drops[Drop.TcpAfterClose]!++;
    if (c.state === TcpState.TimeWait) c.restartTimeWait();
  }
}

/** RFC 7323 sections 3.2 and 5.3. RST segments are not checked. */
function timestampPasses(c: TcpConnection, seg: Segment): boolean {
  const { engine, rcv } = c;
  if (!rcv.tsEnabled || seg.isRst || seg.isSyn) return true;
  if (!seg.options.hasTimestamp) {
    engine.drops[Drop.TcpNoTimestamp]!++;
    return false;
  }
  if (!rcv.tooOld(seg.options.tsVal | 0, engine.now)) return true;
  engine.drops[Drop.TcpOldTimestamp]!++;
  rcv.oldSegment(seg.seq, seqInt(seg.seq, seg.len));
  return false;
}

/** First check of section 3.10.7.4. What fails is answered with an ACK, unless it is a RST. */
function sequencePasses(c: TcpConnection, seg: Segment): boolean {
  const { engine, rcv } = c;
  if (rcv.acceptable(seg.seq, seg.span)) return true;
  // Handshake segments that come again; at a closed window a FIN, which needs no room (as Linux takes it), and an ACK may
  // still be news (section 3.10.7.4).
  if (seg.isSyn && seg.seq === rcv.irs && c.state === TcpState.SynReceived) return true;
  if (seg.isFin && seg.seq === rcv.rcvNxt && seg.span === 1) return true;
  if (
    rcv.rcvWnd === 0 &&
    seg.seq === rcv.rcvNxt &&
    seg.hasAck &&
    !seg.isSyn &&
    !seg.isRst &&
    c.state >= TcpState.Established
  ) {
    if (ackPasses(c, seg)) {
      c.lastHeardMs = engine.now;
      c.snd.acknowledge(seg);
      if (c.snd.finAcked) closingAdvances(c);
    }
  }
  engine.drops[Drop.TcpOutOfWindow]!++;
  if (seg.isRst || c.over) return false;
  if (c.state === TcpState.TimeWait && seg.span > 0) c.restartTimeWait(); // the peer has not heard our last ACK
  if (seg.len > 0 || seg.isFin) {
    // A repetition or a probe of the window: the peer waits for the answer.
    rcv.oldSegment(seg.seq, seqInt(seg.seq, seg.len));
  } else {
    c.challenge();
  }
  return false;
}

/** RFC 9293 section 3.10.7.4, second check; RFC 5961 section 3.2. */
function resetArrives(c: TcpConnection, seg: Segment): void {
  if (seg.seq !== c.rcv.rcvNxt) {
    c.engine.drops[Drop.TcpBadReset]!++;
    c.challenge();
    return;
  }
  c.fail(c.state === TcpState.SynReceived && c.active ? 'refused' : 'reset', false);
}

/**
 * A SYN in SYN-RECEIVED with the sequence we know: the peer's SYN,ACK of a simultaneous open (true: go on with its ACK),
 * or its SYN again, which asks for our SYN,ACK again. False for any other SYN (RFC 5961 section 4).
 */
function handshakeRepeats(c: TcpConnection, seg: Segment): boolean {
  if (c.state !== TcpState.SynReceived || seg.seq !== c.rcv.irs) return false;
  if (!seg.hasAck) c.resendSyn();
  return true;
}

/** The ACK of our SYN; false when it is not. */
function handshakeCompletes(c: TcpConnection, seg: Segment): boolean {
  const { snd } = c;
  if (seqLe(seg.ack, snd.sndUna) || seqGt(seg.ack, snd.sndNxt)) {
    c.engine.drops[Drop.TcpBadAck]!++;
    sendReset(c, seg.ack, 0, false);
    return false;
  }
  c.establish(seg);
  return true;
}

/** RFC 5961 section 5: the ACK must lie in [sndUna - largest window, sndNxt]. */
function ackPasses(c: TcpConnection, seg: Segment): boolean {
  const { snd } = c;
  if (seqLe(seg.ack, snd.sndNxt) && seqGe(seg.ack, seqInt(snd.sndUna, -snd.maxWindow))) return true;
  c.engine.drops[Drop.TcpBadAck]!++;
  c.challenge();
  return false;
}

/** Our FIN is acknowledged: moves on; false when that was the end of the connection. */
function closingAdvances(c: TcpConnection): boolean {
  if (c.state === TcpState.FinWait1) {
    c.state = TcpState.FinWait2;
    c.armKeepAlive();
  } else if (c.state === TcpState.Closing) c.enterTimeWait();
  else if (c.state === TcpState.LastAck) {
    c.finish();
    return false;
  }
  return true;
}

/** RFC 9293 section 3.10.7.3: a segment for a connection in SYN-SENT. */
export function answerArrives(c: TcpConnection, seg: Segment): void {
  const { snd, engine } = c;
  const acksSyn = seg.hasAck && seqGt(seg.ack, snd.iss) && seqLe(seg.ack, snd.sndNxt);
  if (seg.hasAck && !acksSyn) {
    engine.drops[Drop.TcpBadAck]!++;
    if (!seg.isRst) sendReset(c, seg.ack, 0, false);
    return;
  }
  if (seg.isRst) {
    if (acksSyn) c.fail('refused', false);
    else engine.drops[Drop.TcpBadReset]!++;
    return;
  }
  if (!seg.isSyn) return;
  c.takeSyn(seg);
  c.lastHeardMs = engine.now;
  if (acksSyn) {
    c.establish(seg);
    c.rcv.ackNow = true;
  } else {
    // Simultaneous open.
    c.enterSynReceived();
  }
}

/**
 * A SYN for a connection in TIME-WAIT: true when it may open a new one (RFC 9293 section 3.10.7.4, RFC 6191).
 */
export function reopens(c: TcpConnection, seg: Segment): boolean {
  const { rcv } = c;
  if ((seg.flags & ORDINARY) !== tcp.SYN) return false;
  if (rcv.tsEnabled && seg.options.hasTimestamp) {
    const later = seqDiff(seg.options.tsVal, rcv.tsRecent);
    if (later !== 0) return later > 0;
  }
  return !seqLt(seg.seq, rcv.rcvNxt);
}
