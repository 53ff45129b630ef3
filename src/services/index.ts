// The door of the services room.
export {
  type AddressProbe,
  type DhcpReply,
  DhcpServer,
  type DhcpServerOptions,
  type DhcpSettings,
  type LeaseView,
  type StaticHost,
} from './dhcp-server.ts';
export {
  type Dhcpv6Pool,
  Dhcpv6Server,
  type Dhcpv6ServerOptions,
  type Lease6View,
} from './dhcpv6-server.ts';
export { DnsForwarder, type DnsForwarderOptions, type DnsSettings, type DnsSnapshot } from './dns-forwarder.ts';
export { type LocalHosts, LocalNames, type LocalRecord } from './dns-local.ts';
export type { DnsSink } from './dns-query.ts';
export { RebindGuard } from './dns-rebind.ts';
export type { DnsTcpPeer, DnsTcpSession } from './dns-tcp-session.ts';
export { Dns64 } from './dns64.ts';
export { macNumber } from './lease-pool.ts';
export { type LeaseRecord, type LeaseStore, MemoryLeaseStore } from './lease-store.ts';
export {
  DEFAULT_PREFERRED_SEC,
  DEFAULT_VALID_SEC,
  makeAdvert,
  prefixInformation,
  RA_DEFAULTS,
  type RaNetwork,
  type RaSettings,
} from './ra-settings.ts';
export { parseResolvConf, type ResolvConf, type UpstreamList } from './resolv-conf.ts';
export { type RaOffer, RouterAdvertiser } from './router-advertiser.ts';
export { type TftpFile, type TftpFiles, TftpServer } from './tftp.ts';
