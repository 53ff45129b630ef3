// Values of wirefilter as people write them, and numbers as it prints them.
//
//   [LR|RL] VALUE[+PLUS][K|M|G][U|N][\[NODE\]]        no direction: both; no node: 0
//
// A unit behind VALUE alone counts for VALUE, one at the end for both numbers that have none of their own.

import { type Direction, LR, RL, type WireValue } from './impair-model.ts';

export interface Setting {
  readonly directions: readonly Direction[];
  readonly value: WireValue;
  readonly node: number;
}

const NUMBER = String.raw`([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)`;
const SETTING = new RegExp(
  String.raw`^\s*(LR|RL)?\s*${NUMBER}([KMGkmg]?)(?:\+${NUMBER}([KMGkmg]?))?\s*([UNun]?)\s*(?:\[(\d{1,9})\])?\s*$`,
);
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const unit = (letter: string): number => UNITS[letter.toUpperCase()]!;

/** A setting, or null when the text is none. */
export function parseSetting(text: string): Setting | null {
  const m = SETTING.exec(text);
  if (m === null) return null;
  const [, side, value, first = '', plus = '0', second = '', kind = '', node = '0'] = m;
  const last = second === '' ? first : second;
  return {
    directions: side === undefined ? [LR, RL] : [side === 'LR' ? LR : RL],
    value: {
      value: Number(value) * unit(first === '' ? last : first),
      plus: Math.abs(Number(plus) * unit(second)),
      normal: kind.toUpperCase() === 'N',
    },
    node: Number(node),
  };
}

/** A number as C's %g prints it: six digits, without trailing zeros. */
export function general(value: number): string {
  if (value === 0) return '0';
  const exponent = Number(value.toExponential(5).split('e')[1]);
  if (exponent < -4 || exponent >= 6) {
    const [digits = '', power = ''] = value.toExponential(5).split('e');
    const size = power.slice(1).padStart(2, '0');
    return `${digits.replace(/\.?0+$/, '')}e${power[0]}${size}`;
  }
  const text = value.toFixed(5 - exponent);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** `100+50U`. */
export const wireValueText = ({ value, plus, normal }: WireValue): string =>
  `${general(value)}+${general(plus)}${normal ? 'N' : 'U'}`;
