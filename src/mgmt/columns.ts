// Small texts that the commands of several menus share.

import { formatIpv4 } from '../core/address.ts';

/** Lines of a data block at most; a longer list ends with a line that says how much more there is. */
export const MAX_LINES = 2000;

/** A number as vde_switch prints those of ports, VLANs and endpoints. */
export const four = (n: number): string => String(n).padStart(4, '0');

/** Rows under a heading, each column as wide as its widest cell; the last one is not padded. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => rows.reduce((width, row) => Math.max(width, row[i]!.length), title.length));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  ');
  return [line(head), ...rows.map(line)];
}

/** `aa:bb:cc:dd:ee:ff` of two bytes and four. */
export function macText(hi: number, lo: number): string {
  const hex = ((hi & 0xffff) * 2 ** 32 + (lo >>> 0)).toString(16).padStart(12, '0');
  return hex.replace(/(..)(?=.)/g, '$1:');
}

/** A duration as `12s`, `3m04s`, `2h05m`, `4d03h`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 24) return `${hours}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

export const ipText = (address: number): string => formatIpv4(address >>> 0);

/** `12.3 MiB`. */
export const sizeText = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** One line of text without control characters, which names of guests and files may hold. */
export const printable = (text: string): string =>
  text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
