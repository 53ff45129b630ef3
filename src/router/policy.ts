// What a guest may reach: one decision, on the final canonical destination, right before every host socket call.
//
// `resolve` turns the destination that a guest wrote into the one that the host socket is given, and says whether it is
// allowed. TCP, UDP, ICMP and forwards that lead outward all ask here and nowhere else.
//
//   gateway address          -> host loopback, when that is open (the drop-in commands), else refused
//   other own addresses      -> refused (their services were served before)
//   0/8, 127/8, 240/4, 224/4,
//   subnet broadcast         -> dropped: never valid destinations (RFC 1122 3.2.1.3), and 0/8 and 127/8 would reach the
//                               host's loopback by the back door
//   169.254/16               -> refused (cloud metadata lives there)
//   everything else          -> allowed

import { type Endpoint, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';

const LOOPBACK = 0x7f000001;

export interface PolicyOptions {
  /** The gateway's address, unsigned. */
  gateway: number;
  /** All own addresses, unsigned. */
  addresses: readonly number[];
  /** The guest network, unsigned. */
  network: number;
  mask: number;
  /** Whether the gateway address leads to services on the host's loopback interface. */
  hostLoopback: boolean;
}

export class EgressPolicy {
  /** Whether the gateway leads to host loopback; may change at run time, for what is decided from then on. */
  hostLoopback: boolean;
  private readonly options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.options = options;
    this.hostLoopback = options.hostLoopback;
  }

  /**
   * Decides on destination words as a guest wrote them (IPv4 mapped) and sets `out` to where the host socket goes.
   *
   * @returns `Drop.None`; `Drop.PolicyDenied`: say so to the guest; `Drop.Ipv4BadDestination`: drop in silence
   */
  resolve(w0: number, w1: number, w2: number, w3: number, port: number, out: Endpoint): Drop {
    if (w0 !== 0 || w1 !== 0 || w2 !== MAPPED) return Drop.Ipv4BadDestination;
    const { gateway, addresses, network, mask } = this.options;
    const v4 = w3 >>> 0;
    if (v4 === gateway) {
      if (!this.hostLoopback) return Drop.PolicyDenied;
      out.setIpv4(LOOPBACK, port);
      return Drop.None;
    }
    if (addresses.includes(v4)) return Drop.PolicyDenied;
    if (isMartian(v4) || ((v4 & mask) >>> 0 === network && v4 === (network | ~mask) >>> 0))
      return Drop.Ipv4BadDestination;
    if (v4 >>> 16 === 0xa9fe) return Drop.PolicyDenied;
    out.set(w0, w1, w2, w3, port);
    return Drop.None;
  }
}

/** Addresses that no packet may be sent to as a unicast: this network, loopback, multicast, reserved, broadcast. */
const isMartian = (v4: number): boolean => v4 >>> 24 === 0 || v4 >>> 24 === 127 || v4 >>> 28 >= 14;
