// How long UDP flows live without traffic.

export interface UdpTimeouts {
  /** A mapping that was never answered. */
  readonly oneWayMs: number;
  /** A mapping once both ways were seen. */
  readonly bothWaysMs: number;
  /** A mapping whose destinations were all port 53 (RFC 4787 REQ-5a: well-known ports may have less). */
  readonly dnsMs: number;
  /** A client of a forward. */
  readonly clientMs: number;
}

export const UDP_TIMEOUTS = {
  /** Those of Linux connection tracking: sockets come free soon. */
  short: { oneWayMs: 30_000, bothWaysMs: 180_000, dnsMs: 10_000, clientMs: 180_000 },
  /** RFC 4787 REQ-5: two minutes at least, five recommended. */
  rfc: { oneWayMs: 300_000, bothWaysMs: 300_000, dnsMs: 10_000, clientMs: 300_000 },
} as const satisfies Record<string, UdpTimeouts>;

export type UdpTimeoutProfile = keyof typeof UDP_TIMEOUTS;
