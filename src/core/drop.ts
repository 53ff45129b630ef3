// Why frames, packets, segments and messages are dropped: one table for counters, console, JSON, metrics and docs.
//
// The order of the lines is the number of the reason; numbers are internal and may change, names are stable.

/** Reason name (CamelCase) and the sentence that docs/reference/drops.md prints for it. */
export const DROP_REASONS = {
  None: 'Not dropped.',
  // link
  FrameTooShort: 'Frame shorter than an Ethernet header (14 bytes).',
  FrameTooLong: 'Frame longer than the link carries.',
  LinkDown: 'The link is not connected.',
  TxQueueFull: 'The transmit queue of the port or link was full.',
  StreamBadLength: 'Length in a byte stream of frames over the limit: the stream is out of step and was ended.',
  TxError: 'The peer of the link is gone, or refused the frame.',
  VxlanBadHeader: 'UDP datagram on a VXLAN port without a VXLAN header, or too short for a frame.',
  VxlanOtherVni: 'VXLAN frame of another network (VNI).',
  VxlanBadPeer: 'VXLAN frame from an address that is no peer of the link.',
  ImpairMtu: 'Frame over the mtu of wirefilter.',
  ImpairLoss: 'Frame lost by wirefilter: loss, lostburst, or a bandwidth whose sample was 0.',
  ImpairBuffer: 'Frame over the chanbufsize of wirefilter.',
  ImpairQueueFull: 'Frame over what wirefilter keeps at all: too much is delayed.',
  InternalError: 'An unexpected exception while one frame was handled; a defect, please report it.',
  // switch
  EthBadSource: 'Source MAC is multicast, broadcast or zero.',
  SwitchSamePort: 'Destination is on the port the frame came from.',
  FdbFull: 'Source not learned: the table, or the share of the port, is full (the frame itself is flooded).',
  VlanTagTruncated: 'Frame cut short within its 802.1Q tag.',
  VlanNotMember: 'Tagged frame of a VLAN that the port is not a member of.',
  VlanNoNative: 'Frame without tag on a port that has no untagged VLAN.',
  VlanDoubleTag: 'A second 802.1Q tag where one is expected.',
  VlanHidden: 'Tagged frame passed through as it is would be taken for one of the switch on a trunk.',
  TreeBlocked: 'The spanning tree does not let the port forward.',
  BpduMalformed: 'BPDU cut short, or with fields that no bridge sends.',
  PortDisabled: 'The port was closed by the BPDU guard.',
  PortIsolated: 'Frame from one isolated port to another.',
  StormBroadcast: 'Broadcast frame over the rate of the port.',
  StormMulticast: 'Multicast frame over the rate of the port.',
  StormUnknown: 'Frame to an unknown station over the rate of the port.',
  GuardBpdu: 'BPDU from a port where no bridge is expected.',
  GuardArp: 'ARP message that claims an address bound to another station, or of another sender than the frame.',
  GuardDhcp: 'Message of a DHCP server from a port that is not trusted.',
  GuardRa: 'Router advertisement or redirect from a port that is not trusted.',
  GuardNd: 'Neighbor discovery message that is malformed or claims an address bound to another station.',
  GuardSource: 'IP source address that is not bound to the port and station.',
  GuardFragment: 'IPv6 first fragment whose upper-layer header cannot be seen.',
  // Ethernet, ARP
  EthNotForUs: 'Unicast frame for another station.',
  EthUnknownType: 'EtherType that is not handled.',
  ArpMalformed: 'ARP message cut short, or not Ethernet/IPv4.',
  ArpBadSender: 'ARP sender MAC differs from the Ethernet source, or the sender address cannot be a guest.',
  ArpSpoof: 'ARP message claims an address that belongs to another live station.',
  NeighborMismatch: 'IP packet whose source address belongs to another station.',
  NeighborTableFull: 'Neighbor cache full of entries in use.',
  NeighborQueueFull: 'Too many packets wait for the resolution of an address.',
  NeighborUnreachable: 'Address resolution got no answer.',
  // IPv4
  Ipv4Truncated: 'IPv4 packet cut short.',
  Ipv4BadVersion: 'IP version is not 4.',
  Ipv4BadHeaderLength: 'IPv4 header length below 20 bytes or beyond the packet.',
  Ipv4BadLength: 'IPv4 total length below the header or beyond the frame.',
  Ipv4BadChecksum: 'IPv4 header checksum wrong.',
  Ipv4BadOption: 'IPv4 option whose length is impossible.',
  Ipv4SourceRoute: 'IPv4 source routing option.',
  Ipv4BadSource: 'IPv4 source outside the guest network, or not a unicast host address.',
  Ipv4BadDestination: 'IPv4 destination that is never forwarded (0/8, 127/8, 240/4, multicast, broadcast, link-local).',
  Ipv4NotForUs: 'IPv4 destination inside the guest network that is not ours.',
  Ipv4Fragment: 'Fragment of a packet that could not be put together.',
  FragmentMalformed: 'Fragment without payload, or one before the last whose length is no multiple of 8.',
  FragmentTiny: 'First fragment without the whole transport header, or header chain: the packet is refused.',
  FragmentOverlap: 'Fragment that overlaps another or disagrees on where the packet ends: the packet is refused.',
  FragmentDuplicate: 'Fragment that has come already.',
  FragmentTooLong: 'Fragments of a packet of more than 65,535 bytes: the packet is refused.',
  FragmentLimit: 'Incomplete packet given up for lack of room: its pieces, its sender, or all of them had too many.',
  FragmentTimeout: 'Incomplete packet given up after 30 s (IPv6: 60 s).',
  Ipv4TtlExceeded: 'TTL used up on arrival.',
  Ipv4UnknownProtocol: 'IP protocol that is not handled.',
  // IPv6
  Ipv6Truncated: 'IPv6 header cut short.',
  Ipv6BadVersion: 'IP version is not 6.',
  Ipv6BadLength: 'IPv6 payload length beyond the frame.',
  Ipv6BadExtension: 'IPv6 extension header or option cut short, too long, or out of its place.',
  Ipv6TooManyExtensions: 'More than 8 IPv6 extension headers, or more than 256 bytes of them.',
  Ipv6RoutingHeader: 'IPv6 routing header with segments left.',
  Ipv6UnknownOption: 'IPv6 option that is not known and says not to be skipped.',
  Ipv6BadSource: 'IPv6 source outside the guest prefixes, or not a unicast address of a guest.',
  Ipv6BadDestination:
    'IPv6 destination that is never forwarded (unspecified, loopback, a group not joined, link-local, mapped).',
  Ipv6NotForUs: 'IPv6 destination inside a guest prefix that is not ours.',
  Ipv6Fragment: 'Fragment of an IPv6 packet that could not be put together.',
  Ipv6HopLimitExceeded: 'Hop limit used up on arrival.',
  Ipv6UnknownHeader: 'IPv6 next header that is not handled.',
  NdMalformed: 'Neighbor Discovery message cut short, with a bad option, or not from this link (hop limit below 255).',
  NdBadSender: 'Neighbor Discovery message whose link-layer address differs from the Ethernet source.',
  NdSpoof: 'Neighbor advertisement or solicitation that claims an address of ours or of another live station.',
  NdIgnored: 'Neighbor Discovery message that a router does not take: router advertisement, redirect.',
  MldMalformed: 'Multicast listener message that cannot be a query of a router on this link.',
  // ICMP
  IcmpTruncated: 'ICMP message cut short.',
  IcmpBadChecksum: 'ICMP checksum wrong.',
  IcmpIgnored: 'ICMP type that is not answered.',
  IcmpRateLimited: 'ICMP error not sent: over the rate limit.',
  IcmpNoPingSocket: 'Echo request not forwarded: the host allows no ping sockets.',
  // UDP
  UdpTruncated: 'UDP header cut short.',
  UdpBadLength: 'UDP length below the header or beyond the packet.',
  UdpBadChecksum: 'UDP checksum wrong.',
  UdpBadPort: 'UDP port 0.',
  UdpNoChecksum: 'UDP datagram over IPv6 without checksum.',
  UdpFiltered: 'Datagram from a peer that the guest has not sent to (--udp-filter).',
  // TCP
  TcpTruncated: 'TCP header cut short.',
  TcpBadOffset: 'TCP data offset below 5 or beyond the packet.',
  TcpBadChecksum: 'TCP checksum wrong.',
  TcpBadFlags: 'TCP flags that no segment has (SYN with FIN or RST, none at all).',
  TcpBadPort: 'TCP port 0.',
  TcpNoConnection: 'Segment for a connection that does not exist (answered with RST).',
  TcpOutOfWindow: 'Segment outside the receive window (answered with an ACK).',
  TcpBadAck: 'ACK outside what was sent (RFC 5961 section 5).',
  TcpOldTimestamp: 'Segment older than the last timestamp seen (RFC 7323 section 5, PAWS).',
  TcpNoTimestamp: 'Segment without the timestamps option that both sides agreed on (RFC 7323 section 3.2).',
  TcpBadReset: 'RST not at the exact sequence (RFC 5961 section 3).',
  TcpChallenged: 'SYN on a synchronised connection (RFC 5961 section 4).',
  TcpReassemblyFull: 'Out-of-order data beyond what is kept.',
  TcpTableFull: 'Too many TCP connections, in all or for this guest.',
  TcpClosingEvicted: 'Idle connection of which one side had ended, reset to make room for a new flow.',
  TcpHalfOpenLimit:
    'Too many TCP connections that are not established: one that was so for long, or a SYN beyond those that wait.',
  TcpAfterClose: 'Data that arrived after the receiver closed.',
  // router
  PolicyDenied: 'Destination that the policy refuses.',
  FlowTableFull: 'Too many UDP or ICMP flows, in all or for this guest.',
  ForwardUnresolved: 'Client of a forward whose guest, given by name or hardware address, is not known now.',
  FlowForeign: 'Packet for a flow that belongs to another guest.',
  HostUnreachable: 'The host has no route, no permission or no resources for the destination.',
  HostSendFull: 'The host socket did not take the datagram.',
  NoRoute: 'No route to the IPv4 destination (answered with ICMP).',
  ShaperFull: 'The queue of the traffic shaping of an interface was full.',
  // services
  DhcpMalformed: 'DHCP message that cannot be parsed.',
  DhcpIgnored: 'DHCP message that is not for this server or not answered in this state.',
  DhcpRateLimited: 'DHCP request over the rate limit.',
  DhcpNoAddress: 'DHCP pool exhausted.',
  RaRateLimited: 'Router solicitation over the rate limit.',
  Dhcp6Malformed: 'DHCPv6 message that cannot be parsed.',
  Dhcp6Ignored: 'DHCPv6 message that is not for this server or not answered in this state.',
  Dhcp6RateLimited: 'DHCPv6 message over the rate limit.',
  DnsMalformed: 'DNS message that cannot be parsed.',
  DnsBadAnswer: 'DNS answer that matches no query (id, address, port or question).',
  DnsOverload: 'DNS query over the limit of queries in flight.',
  DnsRebind: 'DNS answer refused: a private address for a name of the world (--dns-rebind-protect).',
  TftpMalformed: 'TFTP message that cannot be parsed, or is for no transfer.',
  TftpOverload: 'TFTP request over the limit of transfers.',
} as const;

export type DropName = keyof typeof DROP_REASONS;
/** The number of a reason; `Drop.None` is 0. */
export type Drop = number;

/** Reason numbers by name: `Drop.UdpBadLength`. */
export const Drop = Object.freeze(
  Object.fromEntries(Object.keys(DROP_REASONS).map((name, i) => [name, i])),
) as Readonly<Record<DropName, Drop>>;

const NAMES = Object.keys(DROP_REASONS) as DropName[];

/** Name of a reason as metrics spell it: `udp_bad_length`. */
export const dropLabel = (reason: Drop): string =>
  (NAMES[reason] ?? 'unknown').replace(/[A-Z]/g, (c, i: number) => (i > 0 ? '_' : '') + c.toLowerCase());

/** Drop counters of one component, indexed by reason. */
export type DropCounters = Float64Array;
export const newDropCounters = (): DropCounters => new Float64Array(NAMES.length);

/** The counters that are not zero, by metric name, for showinfo, JSON and metrics. */
export function dropSnapshot(counters: DropCounters): Record<string, number> {
  const out: Record<string, number> = {};
  for (let i = 1; i < counters.length; i++) if (counters[i]! > 0) out[dropLabel(i)] = counters[i]!;
  return out;
}
