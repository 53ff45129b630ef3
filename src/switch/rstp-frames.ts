// The BPDUs that a port of a rapid spanning tree sends (IEEE 802.1D-2004 clauses 9.3 and 17.21.19 to 17.21.21).

import * as bpdu from '../wire/bpdu.ts';
import { putU16 } from '../wire/bytes.ts';
import type { RstpPort } from './rstp-port.ts';

const BODY = 12 + bpdu.LLC_LEN;

/** RST BPDU: txRstp. */
export function rstFrame(port: RstpPort): Uint8Array {
  const frame = new Uint8Array(bpdu.RST_FRAME_LEN);
  bpdu.writeRstFrame(frame, port.bridge.macHi, port.bridge.macLo);
  const flags =
    roleFlag(port) |
    (port.change.tcWhile !== 0 ? bpdu.FLAG_TC : 0) |
    (port.proposing ? bpdu.FLAG_PROPOSAL : 0) |
    (port.agree ? bpdu.FLAG_AGREEMENT : 0) |
    (port.learning ? bpdu.FLAG_LEARNING : 0) |
    (port.forwarding ? bpdu.FLAG_FORWARDING : 0);
  writeVector(frame, port, flags);
  return frame;
}

/** Configuration BPDU, for bridges of 802.1D-1998: txConfig. */
export function configFrame(port: RstpPort): Uint8Array {
  const frame = new Uint8Array(BODY + bpdu.CONFIG_LEN);
  bpdu.writeFrame(frame, port.bridge.macHi, port.bridge.macLo, 0, bpdu.TYPE_CONFIG);
  const { tcWhile, tcAck } = port.change;
  writeVector(frame, port, (tcWhile !== 0 ? bpdu.FLAG_TC : 0) | (tcAck ? bpdu.FLAG_TC_ACK : 0));
  return frame;
}

/** Topology change notification, for the same: txTcn. */
export function tcnFrame(port: RstpPort): Uint8Array {
  const frame = new Uint8Array(BODY + bpdu.TCN_LEN);
  bpdu.writeFrame(frame, port.bridge.macHi, port.bridge.macLo, 0, bpdu.TYPE_TCN);
  return frame;
}

function roleFlag({ role }: RstpPort): number {
  if (role === 'Root') return bpdu.ROLE_ROOT;
  return role === 'Designated' ? bpdu.ROLE_DESIGNATED : bpdu.ROLE_ALTERNATE_BACKUP;
}

/** Flags, vector and times, which both kinds of BPDU have at the same places. */
function writeVector(frame: Uint8Array, port: RstpPort, flags: number): void {
  const { messageAge, maxAge, helloTime, forwardDelay } = port.designatedTimes;
  frame[BODY + 4] = flags;
  frame.set(port.designatedPriority, BODY + bpdu.VECTOR_OFF);
  putU16(frame, BODY + 27, messageAge << 8);
  putU16(frame, BODY + 29, maxAge << 8);
  putU16(frame, BODY + 31, helloTime << 8);
  putU16(frame, BODY + 33, forwardDelay << 8);
}
