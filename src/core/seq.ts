// Arithmetic modulo 2^32 in TCP sequence space, RFC 9293 section 3.4.
// Every comparison of sequence numbers in the project goes through here: a bare `<` on them is a bug.

/** True when `a` precedes `b`. Numbers further apart than 2^31 - 1 have no order. */
export const seqLt = (a: number, b: number): boolean => ((a - b) | 0) < 0;
/** True when `a` precedes or equals `b`. */
export const seqLe = (a: number, b: number): boolean => ((a - b) | 0) <= 0;
/** True when `a` follows `b`. */
export const seqGt = (a: number, b: number): boolean => ((a - b) | 0) > 0;
/** True when `a` follows or equals `b`. */
export const seqGe = (a: number, b: number): boolean => ((a - b) | 0) >= 0;
/** `a + n`, as an unsigned 32-bit number. */
export const seqAdd = (a: number, n: number): number => (a + n) >>> 0;
/** Signed distance from `b` to `a`: positive when `a` follows `b`. */
export const seqDiff = (a: number, b: number): number => (a - b) | 0;
/** The later of two sequence numbers. */
export const seqMax = (a: number, b: number): number => (((a - b) | 0) > 0 ? a : b);
/** `a + n`, as a signed 32-bit integer: the form in which connections keep sequence numbers (V8's small integers). */
export const seqInt = (a: number, n: number): number => (a + n) | 0;
