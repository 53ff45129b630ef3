/** Bytes of hexadecimal text; blanks, line breaks and comments (`#` or `;` to the end of the line) are skipped. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/[#;].*$/gm, '').replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${text.slice(0, 60)}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (d) => Number.parseInt(d, 16));
}

/** Hexadecimal text of bytes, two digits each, no blanks. */
export const toHex = (b: Uint8Array): string => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('hex');
