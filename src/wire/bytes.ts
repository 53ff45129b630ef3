// Big-endian fields over (bytes, offset): what all accessors are made of.
//
// Nothing is checked here: the codec's `check` has done so. A read outside the array counts missing bytes as 0 and a
// write outside it does nothing, so neither can throw.

/** Unsigned 16-bit number at `o`. */
export const u16 = (b: Uint8Array, o: number): number => (b[o]! << 8) | b[o + 1]!;

/** Unsigned 32-bit number at `o`, 0 to 2^32 - 1. */
export const u32 = (b: Uint8Array, o: number): number =>
  ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;

/** Signed 32-bit integer at `o`: the form in which tables keep addresses. */
export const i32 = (b: Uint8Array, o: number): number =>
  (b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!;

/** Writes the low 16 bits of `v`. */
export function putU16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 8;
  b[o + 1] = v;
}

/** Writes the low 32 bits of `v`, signed or unsigned. */
export function putU32(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 24;
  b[o + 1] = v >>> 16;
  b[o + 2] = v >>> 8;
  b[o + 3] = v;
}
