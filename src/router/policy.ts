// What a guest may reach: one decision, on the final canonical destination, right before every host socket call.
//
// `resolve` turns the destination that a guest wrote into the one that the host socket is given, and says whether it is
// allowed. TCP, UDP, ICMP and forwards that lead outward all ask here and nowhere else. In this order:
//
//   1. gateway address       -> becomes 127.0.0.1 when host loopback is open (the drop-in commands), else refused
//   2. other own addresses   -> refused (their services were served before)
//   3. 0/8, 127/8, 240/4,
//      224/4, subnet
//      broadcast             -> dropped: never valid destinations (RFC 1122 3.2.1.3), and on many systems 0/8, 127/8 and
//                               255.255.255.255 would reach the host's loopback by the back door. No rule opens them
//   4. addresses of the host -> refused when `hostAddresses` is given (--no-host); no rule opens them
//   5. the user's rules      -> the first that fits decides (policy-rules.ts); it sees 127.0.0.1 for the gateway address
//   6. 169.254/16            -> refused (cloud metadata lives there) unless a rule allowed exactly that address
//   7. everything else       -> allowed; refused with `restrict`
//
// Rules can change while flows are open. Datagrams are decided on one by one; connections and echo flows that are open go
// on. Nothing here allocates.

import { type Endpoint, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import { type PolicyRule, PolicyRules, Verdict } from './policy-rules.ts';

const LOOPBACK = 0x7f000001;
const LINK_LOCAL = 0xa9fe;

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
  /** The user's rules, in order. */
  rules?: readonly PolicyRule[];
  /** Guests reach the router's own services and what a rule allows, nothing else. */
  restrict?: boolean;
  /**
   * The IPv4 addresses of the host (as signed words), none of which guests then reach; null (the default) leaves them
   * reachable. Asked for every decision: the same array until they change.
   */
  hostAddresses?: (() => Int32Array) | null;
}

export class EgressPolicy {
  /** Whether the gateway leads to host loopback; may change at run time, for what is decided from then on. */
  hostLoopback: boolean;
  readonly restrict: boolean;
  /** The host's addresses are refused. */
  readonly noHost: boolean;
  readonly rules: PolicyRules;
  private readonly options: PolicyOptions;
  private readonly hostAddresses: (() => Int32Array) | null;

  constructor(options: PolicyOptions) {
    this.options = options;
    this.hostLoopback = options.hostLoopback;
    this.restrict = options.restrict ?? false;
    this.rules = new PolicyRules(options.rules ?? []);
    this.hostAddresses = options.hostAddresses ?? null;
    this.noHost = this.hostAddresses !== null;
  }

  /**
   * Decides on destination words as a guest wrote them (IPv4 mapped) and sets `out` to where the host socket goes.
   *
   * @param protocol  a bit of PolicyProtocol
   * @param port      destination port, 0 for ICMP
   * @returns `Drop.None`; `Drop.PolicyDenied`: say so to the guest; `Drop.Ipv4BadDestination`: drop in silence
   */
  resolve(protocol: number, w0: number, w1: number, w2: number, w3: number, port: number, out: Endpoint): Drop {
    if (w0 !== 0 || w1 !== 0 || w2 !== MAPPED) return Drop.Ipv4BadDestination;
    const { gateway, addresses, network, mask } = this.options;
    let v4 = w3 >>> 0;
    if (v4 === gateway) {
      if (!this.hostLoopback) return Drop.PolicyDenied;
      v4 = LOOPBACK;
    } else {
      if (addresses.includes(v4)) return Drop.PolicyDenied;
      if (isMartian(v4) || ((v4 & mask) >>> 0 === network && v4 === (network | ~mask) >>> 0))
        return Drop.Ipv4BadDestination;
      if (this.hostAddresses !== null && holds(this.hostAddresses(), w3)) return Drop.PolicyDenied;
    }
    const verdict = this.rules.decide(v4, port, protocol);
    if (verdict === Verdict.Deny) return Drop.PolicyDenied;
    if (v4 >>> 16 === LINK_LOCAL && verdict !== Verdict.AllowExact) return Drop.PolicyDenied;
    if (verdict === Verdict.None && this.restrict) return Drop.PolicyDenied;
    out.set(w0, w1, w2, v4, port);
    return Drop.None;
  }
}

/** Addresses that no packet may be sent to as a unicast: this network, loopback, multicast, reserved, broadcast. */
const isMartian = (v4: number): boolean => v4 >>> 24 === 0 || v4 >>> 24 === 127 || v4 >>> 28 >= 14;

function holds(list: Int32Array, word: number): boolean {
  for (let i = 0; i < list.length; i++) if (list[i] === word) return true;
  return false;
}
