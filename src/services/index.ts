// The door of the services room.
export {
  type AddressProbe,
  type DhcpReply,
  DhcpServer,
  type DhcpServerOptions,
  type LeaseView,
  type StaticHost,
} from './dhcp-server.ts';
export { DnsForwarder, type DnsForwarderOptions, type DnsSnapshot } from './dns-forwarder.ts';
export { type LocalHosts, LocalNames, type LocalRecord } from './dns-local.ts';
export type { DnsSink } from './dns-query.ts';
export { RebindGuard } from './dns-rebind.ts';
export type { DnsTcpPeer, DnsTcpSession } from './dns-tcp-session.ts';
export { type LeaseRecord, type LeaseStore, MemoryLeaseStore } from './lease-store.ts';
export { parseResolvConf, type ResolvConf, type UpstreamList } from './resolv-conf.ts';
export { type TftpFile, type TftpFiles, TftpServer } from './tftp.ts';
