// Numbers as the original reads them, because scripts have come to rely on it: `atoi` where a command takes one number,
// `sscanf("%i ...")` where it takes several.

const MAX = 0x7fffffff;
const MIN = -0x80000000;

const clamp = (n: number): number => Math.max(MIN, Math.min(MAX, n));

/** The decimal number that a text begins with; 0 when there is none. */
export const atoi = (text: string): number => clamp(Number(/^\s*([+-]?\d+)/.exec(text)?.[1] ?? 0));

/** A number in C's notation (0x10, 017, 12) at the start of a text, and what follows it; null when there is none. */
export function scanInt(text: string): { value: number; rest: string } | null {
  const match = /^\s*([+-]?)(0x[0-9a-f]+|\d+)/i.exec(text);
  if (match === null) return null;
  const [whole, sign, digits] = match as unknown as [string, string, string];
  const octal = /^0[0-7]*/.exec(digits)?.[0];
  const hex = /^0x/i.test(digits);
  // Of `08` only the 0 is octal: the scan stops there, as sscanf does.
  const taken = hex || octal === undefined ? digits : octal;
  const base = hex ? 16 : octal === undefined ? 10 : 8;
  const value = Number.parseInt(hex ? taken.slice(2) : taken, base);
  return {
    value: clamp(sign === '-' ? -value : value),
    rest: text.slice(whole.length - (digits.length - taken.length)),
  };
}

/** Up to `count` numbers, one behind the other; fewer when the text has no more. */
export function scanInts(text: string, count: number): number[] {
  const found: number[] = [];
  for (let rest = text; found.length < count; ) {
    const next = scanInt(rest);
    if (next === null) break;
    found.push(next.value);
    rest = next.rest;
  }
  return found;
}
