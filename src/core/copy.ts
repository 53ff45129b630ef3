// Copying bytes between typed arrays.

/** Above so many bytes a view and one call of `set` are faster than a loop, though a view is an object to be collected. */
const LOOP_MAX = 128;

/** Copies `len` bytes at `from[off]` to `to[at]`; for any two arrays, or ranges of one that do not overlap. */
export function copyInto(from: Uint8Array, off: number, len: number, to: Uint8Array, at: number): void {
  if (len > LOOP_MAX) to.set(from.subarray(off, off + len), at);
  else for (let i = 0; i < len; i++) to[at + i] = from[off + i]!;
}
