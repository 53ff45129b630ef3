// What a guest may reach: one decision, on the final canonical destination, right before every host socket call.
//
// `resolve` turns the destination that a guest wrote into the one that the host socket is given, and says whether it is
// allowed. TCP, UDP, ICMP and forwards that lead outward all ask here and nowhere else. In this order:
//
//   0. IPv4 in an IPv6 form  -> becomes the IPv4 address (translation.ts), to which all of this applies
//   1. gateway address       -> becomes 127.0.0.1 or ::1 when host loopback is open (the drop-in commands), else refused
//   2. other own addresses   -> refused (their services were served before); so are translated ones of the guest network
//   3. 0/8, 127/8, 240/4,
//      224/4, subnet
//      broadcast; ::/96,
//      ff00::/8, fe80::/10,
//      ::ffff:0:0/96         -> dropped: never valid destinations (RFC 1122 3.2.1.3, RFC 4291 2.5), and on many systems
//                               0/8, 127/8, :: and 255.255.255.255 would reach the host's loopback by the back door. No
//                               rule opens them
//   4. addresses of the host -> refused when `hostAddresses` is given (--no-host); no rule opens them
//   5. 6to4, Teredo,
//      64:ff9b::/96          -> refused when the IPv4 address inside would be
//   6. the user's rules      -> the first that fits decides (policy-rules.ts). The gateway is 127.0.0.1 to them; an IPv6
//                               gateway address is ::1 too, and refused when either is: TCP falls back from one to
//                               the other (tcp-flow.ts)
//   7. 169.254/16 and
//      fd00:ec2::254         -> refused (cloud metadata lives there) unless a rule allowed exactly that address
//   8. everything else       -> allowed; refused with `restrict`
//
// Rules can change while flows are open. Datagrams are decided on one by one; connections and echo flows that are open go
// on. Nothing here allocates.

import { Endpoint, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import { isLinkLocal, isMapped, isMulticast, type LinkAddresses } from '../ip/index.ts';
import { WELL_KNOWN_PREFIX } from '../wire/nat64.ts';
import { type PolicyRule, PolicyRules, Verdict } from './policy-rules.ts';
import { type Translation, VIA_NONE } from './translation.ts';

const LOOPBACK = 0x7f000001;
const LINK_LOCAL_IPV4 = 0xa9fe;
const SIX_TO_FOUR = 0x2002;
const TEREDO = 0x20010000;

export interface PolicyOptions {
  /** Own addresses and networks of the link. */
  own: LinkAddresses;
  translation: Translation;
  /** Whether the gateway address leads to services on the host's loopback interface. */
  hostLoopback: boolean;
  /** The user's rules, in order. */
  rules?: readonly PolicyRule[];
  /** Guests reach the router's own services and what a rule allows, nothing else. */
  restrict?: boolean;
  /**
   * The addresses of the host, four words each in the form of core/address.ts, none of which guests then reach; null
   * (the default) leaves them reachable. Asked for every decision: the same array until they change.
   */
  hostAddresses?: (() => Int32Array) | null;
}

/** Where a flow goes: the final endpoint, and the prefix by which its guest knows that. */
export class Destination extends Endpoint {
  /** See translation.ts; VIA_NONE: the guest writes the address as it is. */
  via = VIA_NONE;
  /** The guest wrote a gateway's address, and the endpoint is the host's loopback interface. */
  isLoopback = false;

  override copy(other: Destination): this {
    super.copy(other);
    this.via = other.via;
    this.isLoopback = other.isLoopback;
    return this;
  }
}

export class EgressPolicy {
  // These may change at run time, for what is decided from then on.
  /** Whether the gateway leads to host loopback. */
  hostLoopback: boolean;
  restrict: boolean;
  /** See PolicyOptions. */
  hostAddresses: (() => Int32Array) | null;
  readonly rules: PolicyRules;
  private readonly own: LinkAddresses;
  private readonly translation: Translation;

  constructor(options: PolicyOptions) {
    this.own = options.own;
    this.translation = options.translation;
    this.hostLoopback = options.hostLoopback;
    this.restrict = options.restrict ?? false;
    this.rules = new PolicyRules(options.rules ?? []);
    this.hostAddresses = options.hostAddresses ?? null;
  }

  /** The host's addresses are refused. */
  get noHost(): boolean {
    return this.hostAddresses !== null;
  }

  /**
   * Decides on destination words as a guest wrote them and sets `out` to where the host socket goes.
   *
   * @param protocol  a bit of PolicyProtocol
   * @param isIpv4    family of the guest's packet: mapped words are IPv4 in one family and a translation in the other
   * @param port      destination port, 0 for ICMP
   * @returns `Drop.None`; `Drop.PolicyDenied`: say so to the guest; another reason: drop in silence
   */
  resolve(
    protocol: number,
    isIpv4: boolean,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    out: Destination,
  ): Drop {
    const via = isIpv4 ? VIA_NONE : this.translation.via(w0, w1, w2);
    out.via = via;
    out.isLoopback = false;
    if (!isIpv4 && via === VIA_NONE) return this.resolveIpv6(protocol, w0, w1, w2, w3, port, out);
    const v4 = via === VIA_NONE ? w3 : this.translation.toIpv4(via, w1, w2, w3);
    if (this.own.isGateway(0, 0, MAPPED, v4)) {
      out.isLoopback = true;
      out.setIpv4(LOOPBACK, port);
      return this.decideLoopback(protocol, port, false);
    }
    out.setIpv4(v4, port);
    if (via !== VIA_NONE && this.own.isOnLink4(v4)) return Drop.PolicyDenied;
    return this.decideIpv4(protocol, v4, port);
  }

  private resolveIpv6(
    protocol: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    out: Destination,
  ): Drop {
    const { own } = this;
    if (isMapped(w0, w1, w2)) return Drop.Ipv6BadDestination;
    if (own.isGateway(w0, w1, w2, w3)) {
      out.isLoopback = true;
      out.set(0, 0, 0, 1, port);
      return this.decideLoopback(protocol, port, true);
    }
    out.set(w0, w1, w2, w3, port);
    if (own.isLocal(w0, w1, w2, w3)) return Drop.PolicyDenied;
    if ((w0 | w1 | w2) === 0 || isMulticast(w0) || isLinkLocal(w0)) return Drop.Ipv6BadDestination;
    if (this.hostAddresses !== null && holds(this.hostAddresses(), w0, w1, w2, w3)) return Drop.PolicyDenied;
    if (this.refusesInside(protocol, w0, w1, w2, w3, port)) return Drop.PolicyDenied;
    const verdict = this.rules.decide(w0, w1, w2, w3, port, protocol);
    return this.conclude(verdict, isMetadata(w0, w1, w2, w3));
  }

  private decideIpv4(protocol: number, v4: number, port: number): Drop {
    const { own } = this;
    if (own.isLocal4(v4)) return Drop.PolicyDenied;
    if (isMartian(v4) || own.isBroadcast4(v4)) return Drop.Ipv4BadDestination;
    if (this.hostAddresses !== null && holds(this.hostAddresses(), 0, 0, MAPPED, v4)) return Drop.PolicyDenied;
    const verdict = this.rules.decide(0, 0, MAPPED, v4, port, protocol);
    return this.conclude(verdict, v4 >>> 16 === LINK_LOCAL_IPV4);
  }

  private decideLoopback(protocol: number, port: number, isIpv6: boolean): Drop {
    if (!this.hostLoopback) return Drop.PolicyDenied;
    const v4 = this.rules.decide(0, 0, MAPPED, LOOPBACK, port, protocol);
    if (!isIpv6 || v4 === Verdict.Deny) return this.conclude(v4, false);
    const v6 = this.rules.decide(0, 0, 0, 1, port, protocol);
    return this.conclude(v6 === Verdict.None ? v4 : v6, false);
  }

  /** @param guarded  only a rule for exactly this address opens it */
  private conclude(verdict: Verdict, guarded: boolean): Drop {
    if (verdict === Verdict.Deny) return Drop.PolicyDenied;
    if (guarded && verdict !== Verdict.AllowExact) return Drop.PolicyDenied;
    return verdict === Verdict.None && this.restrict ? Drop.PolicyDenied : Drop.None;
  }

  /**
   * Whether an IPv6 destination would be carried on, by others, to an IPv4 address that is refused. What `restrict`
   * refuses for want of a rule does not count: the rules for the IPv6 address itself follow.
   */
  private refusesInside(protocol: number, w0: number, w1: number, w2: number, w3: number, port: number): boolean {
    const [p0, p1, p2] = WELL_KNOWN_PREFIX.words;
    if (w0 >>> 16 === SIX_TO_FOUR) return this.refusesIpv4(protocol, (w0 << 16) | (w1 >>> 16), port);
    if (w0 === TEREDO) return this.refusesIpv4(protocol, ~w3, port) || this.refusesIpv4(protocol, w1, port);
    return w0 === p0 && w1 === p1 && w2 === p2 && this.refusesIpv4(protocol, w3, port);
  }

  private refusesIpv4(protocol: number, v4: number, port: number): boolean {
    const { own } = this;
    if (own.isOnLink4(v4) || own.isLocal4(v4) || isMartian(v4)) return true;
    if (this.hostAddresses !== null && holds(this.hostAddresses(), 0, 0, MAPPED, v4)) return true;
    const verdict = this.rules.decide(0, 0, MAPPED, v4, port, protocol);
    return verdict === Verdict.Deny || (v4 >>> 16 === LINK_LOCAL_IPV4 && verdict !== Verdict.AllowExact);
  }
}

/** Addresses that no packet may be sent to as a unicast: this network, loopback, multicast, reserved, broadcast. */
const isMartian = (v4: number): boolean => v4 >>> 24 === 0 || v4 >>> 24 === 127 || v4 >>> 28 >= 14;

/** The metadata service of a large cloud, beside 169.254.169.254. */
const isMetadata = (w0: number, w1: number, w2: number, w3: number): boolean =>
  w0 === (0xfd000ec2 | 0) && (w1 | w2) === 0 && w3 === 0x254;

function holds(list: Int32Array, w0: number, w1: number, w2: number, w3: number): boolean {
  for (let i = 0; i < list.length; i += 4) {
    if (list[i + 3] === w3 && list[i + 2] === w2 && list[i + 1] === w1 && list[i] === w0) return true;
  }
  return false;
}
