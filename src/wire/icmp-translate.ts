// ICMP errors from one family to the other, RFC 7915 sections 4.2 and 5.2: type, code and the second word of the header.
//
// Only that is translated: flows end at the router, so the quoted packet is always the guest's own.

import * as v4 from './icmpv4.ts';
import * as v6 from './icmpv6.ts';
import { HEADER_LEN as IPV4_HEADER_LEN } from './ipv4.ts';
import { HEADER_LEN as IPV6_HEADER_LEN, MIN_MTU } from './ipv6.ts';

/** By how much an IPv6 packet is longer than the IPv4 packet of the same payload, bytes. */
const DIFFERENCE = IPV6_HEADER_LEN - IPV4_HEADER_LEN;
const NEXT_HEADER_AT = 6;
/** Parameter problem, IPv4: unknown codes; and the pointer of an IPv6 header for each byte of an IPv4 header. */
const POINTERS_4_TO_6 = [0, 1, 4, 4, -1, -1, -1, -1, 7, 6, -1, -1, 8, 8, 8, 8, 24, 24, 24, 24];

/** An error of the other family. One object serves all. */
export class TranslatedError {
  type = 0;
  code = 0;
  rest = 0;

  private set(type: number, code: number, rest: number): true {
    this.type = type;
    this.code = code;
    this.rest = rest;
    return true;
  }

  /**
   * What an ICMP error is in ICMPv6; false when it is nothing there.
   *
   * @param value  MTU of the next hop, or the pointer of a parameter problem
   */
  fromIpv4(type: number, code: number, value: number): boolean {
    if (type === v4.TYPE_TIME_EXCEEDED) return this.set(v6.TYPE_TIME_EXCEEDED, code, 0);
    if (type === v4.TYPE_PARAMETER_PROBLEM) {
      const pointer = POINTERS_4_TO_6[value] ?? -1;
      return (code === 0 || code === 2) && pointer >= 0 && this.set(v6.TYPE_PARAMETER_PROBLEM, v6.CODE_FIELD, pointer);
    }
    if (type !== v4.TYPE_UNREACHABLE) return false;
    switch (code) {
      case v4.CODE_PROTOCOL:
        return this.set(v6.TYPE_PARAMETER_PROBLEM, v6.CODE_NEXT_HEADER, NEXT_HEADER_AT);
      case v4.CODE_PORT:
        return this.set(v6.TYPE_UNREACHABLE, v6.CODE_PORT, 0);
      case v4.CODE_FRAGMENTATION_NEEDED:
        return this.set(v6.TYPE_TOO_BIG, 0, Math.max(MIN_MTU, value + DIFFERENCE));
      case v4.CODE_NET_PROHIBITED:
      case v4.CODE_HOST_PROHIBITED:
      case v4.CODE_ADMIN_PROHIBITED:
      case v4.CODE_PRECEDENCE_CUTOFF:
        return this.set(v6.TYPE_UNREACHABLE, v6.CODE_PROHIBITED, 0);
      case v4.CODE_PRECEDENCE_VIOLATION:
        return false;
      default:
        return this.set(v6.TYPE_UNREACHABLE, v6.CODE_NO_ROUTE, 0);
    }
  }

  /** What an ICMPv6 error is in ICMP; false when it is nothing there. `value`: MTU or pointer. */
  fromIpv6(type: number, code: number, value: number): boolean {
    switch (type) {
      case v6.TYPE_UNREACHABLE:
        if (code === v6.CODE_PORT) return this.set(v4.TYPE_UNREACHABLE, v4.CODE_PORT, 0);
        if (code === v6.CODE_PROHIBITED) return this.set(v4.TYPE_UNREACHABLE, v4.CODE_HOST_PROHIBITED, 0);
        return code <= v6.CODE_PORT && this.set(v4.TYPE_UNREACHABLE, v4.CODE_HOST, 0);
      case v6.TYPE_TOO_BIG: {
        const mtu = Math.min(0xffff, Math.max(0, value - DIFFERENCE));
        return this.set(v4.TYPE_UNREACHABLE, v4.CODE_FRAGMENTATION_NEEDED, mtu);
      }
      case v6.TYPE_TIME_EXCEEDED:
        return this.set(v4.TYPE_TIME_EXCEEDED, code, 0);
      case v6.TYPE_PARAMETER_PROBLEM:
        return code === v6.CODE_NEXT_HEADER && this.set(v4.TYPE_UNREACHABLE, v4.CODE_PROTOCOL, 0);
      default:
        return false;
    }
  }
}
