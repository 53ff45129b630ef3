// The classic capture file format (pcap, draft-ietf-opsawg-pcap): one header, then a record for each frame.
//
//   header   magic a1b2c3d4, version 2.4, 8 bytes of zeros, snapshot length, link type; 24 bytes
//   record   seconds, microseconds, bytes kept, bytes of the frame; 16 bytes, then the frame
//
// Numbers are little-endian; the magic tells.

const MAGIC = 0xa1b2c3d4;
const LINKTYPE_ETHERNET = 1;
const HEADER_LEN = 24;
const RECORD_LEN = 16;

/** @param snapLen  most bytes kept of a frame, 0 for all */
export function pcapHeader(snapLen: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_LEN);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, snapLen === 0 ? 0x40000 : snapLen, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return bytes;
}

/** One frame, cut to `snapLen` bytes unless that is 0. The time is `seconds` since 1970 and `nanoseconds`. */
export function pcapRecord(
  seconds: number,
  nanoseconds: number,
  b: Uint8Array,
  off: number,
  len: number,
  snapLen: number,
): Uint8Array {
  const kept = snapLen > 0 && snapLen < len ? snapLen : len;
  const bytes = new Uint8Array(RECORD_LEN + kept);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, seconds, true);
  view.setUint32(4, Math.floor(nanoseconds / 1000), true);
  view.setUint32(8, kept, true);
  view.setUint32(12, len, true);
  bytes.set(b.subarray(off, off + kept), RECORD_LEN);
  return bytes;
}
