// The user's own allow and deny rules: an ordered list, of which the first that fits decides.
//
// A rule names destinations (prefix, ports, protocols). It is kept as its description, for people, and compiled into
// eleven words of one typed array, for the data path: a decision is a scan of integers that allocates nothing. The list
// is bounded by MAX_RULES, and so is the scan.
//
//   words 0 to 3  network     4 to 7  mask     8  lowest port << 16 | highest     9  protocols     10  verdict

import { VdeError } from '../core/errors.ts';
import { isMapped, maskWord } from '../ip/index.ts';

/** Protocols of a rule and of a packet, one bit each; ICMP is that of the packet's family. */
export const PolicyProtocol = { Tcp: 1, Udp: 2, Icmp: 4 } as const;
export type PolicyProtocol = (typeof PolicyProtocol)[keyof typeof PolicyProtocol];
export const ALL_PROTOCOLS = 7;

/** Rules at once. */
export const MAX_RULES = 256;

export interface PolicyRule {
  readonly allow: boolean;
  /** Network address in the form of core/address.ts, and prefix length, 0 to 32 of IPv4 and 0 to 128 of IPv6. */
  readonly network: readonly [number, number, number, number];
  readonly prefixLen: number;
  /** Destination ports, both included; 0 to 65535 for all. */
  readonly lowPort: number;
  readonly highPort: number;
  /** Bits of PolicyProtocol, at least one. ICMP has no ports: a rule that names some never has its bit. */
  readonly protocols: number;
}

/** A rule in the list, for management. */
export interface PolicyRuleView extends PolicyRule {
  /** Number of the rule, never used again. */
  readonly id: number;
  /** Decisions it made. */
  readonly hits: number;
}

/** What the first rule that fits says. */
export const Verdict = {
  None: 0,
  Deny: 1,
  Allow: 2,
  /** Allowed by a rule that names this one address. */
  AllowExact: 3,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

const MASK = 4;
const PORTS = 8;
const PROTOCOLS = 9;
const VERDICT = 10;
const WORDS = 11;
const MAPPED_BITS = 96;

/** Prefix length of a rule's network among all addresses, 0 to 128. */
const bitsOf = ({ network, prefixLen }: PolicyRule): number =>
  isMapped(network[0], network[1], network[2]) ? MAPPED_BITS + prefixLen : prefixLen;

function verdictOf(rule: PolicyRule): Verdict {
  if (!rule.allow) return Verdict.Deny;
  return bitsOf(rule) === 128 ? Verdict.AllowExact : Verdict.Allow;
}

const sameRule = (a: PolicyRule, b: PolicyRule): boolean =>
  a.allow === b.allow &&
  a.prefixLen === b.prefixLen &&
  a.lowPort === b.lowPort &&
  a.highPort === b.highPort &&
  a.protocols === b.protocols &&
  a.network.every((word, i) => word === b.network[i]);

interface Entry {
  readonly id: number;
  readonly rule: PolicyRule;
}

export class PolicyRules {
  private entries: readonly Entry[] = [];
  private words = new Int32Array(0);
  private hits = new Float64Array(0);
  private nextId = 1;

  /** @param rules  in order */
  constructor(rules: readonly PolicyRule[]) {
    for (const rule of rules) this.add(rule);
  }

  /**
   * Adds a rule behind all others, or in front of rule `before`; its number.
   *
   * @throws VdeError  ERR_VDE_BAD_POLICY when the list is full or there is no rule `before`
   */
  add(rule: PolicyRule, before = 0): number {
    if (this.entries.length >= MAX_RULES) {
      throw new VdeError('ERR_VDE_BAD_POLICY', `no more than ${MAX_RULES} policy rules`);
    }
    const at = before === 0 ? this.entries.length : this.entries.findIndex((entry) => entry.id === before);
    if (at < 0) throw new VdeError('ERR_VDE_BAD_POLICY', `there is no policy rule ${before}`);
    const id = this.nextId++;
    this.set(this.entries.toSpliced(at, 0, { id, rule }));
    return id;
  }

  /** Takes a rule out; false when there is none of that number. */
  remove(id: number): boolean {
    const left = this.entries.filter((entry) => entry.id !== id);
    if (left.length === this.entries.length) return false;
    this.set(left);
    return true;
  }

  /**
   * Puts `rules` where the rules `former` are now, or in front when none of those is left. A rule that was among them keeps
   * its number and its count.
   *
   * @returns the numbers of `rules`
   * @throws VdeError  ERR_VDE_BAD_POLICY when they are too many; nothing has changed then
   */
  replace(former: readonly number[], rules: readonly PolicyRule[]): number[] {
    const old = this.entries.filter(({ id }) => former.includes(id));
    const at = Math.max(
      0,
      this.entries.findIndex(({ id }) => former.includes(id)),
    );
    const rest = this.entries.filter(({ id }) => !former.includes(id));
    if (rest.length + rules.length > MAX_RULES) {
      throw new VdeError('ERR_VDE_BAD_POLICY', `no more than ${MAX_RULES} policy rules`);
    }
    const fresh = rules.map((rule): Entry => {
      const same = old.findIndex((entry) => sameRule(entry.rule, rule));
      return same < 0 ? { id: this.nextId++, rule } : old.splice(same, 1)[0]!;
    });
    this.set(rest.toSpliced(at, 0, ...fresh));
    return fresh.map(({ id }) => id);
  }

  list(): PolicyRuleView[] {
    return this.entries.map(({ id, rule }, i) => ({ ...rule, id, hits: this.hits[i]! }));
  }

  /** Decides on an address, a port (0 for ICMP) and a bit of PolicyProtocol. */
  decide(w0: number, w1: number, w2: number, w3: number, port: number, protocol: number): Verdict {
    const w = this.words;
    for (let o = 0, i = 0; o < w.length; o += WORDS, i++) {
      const m = o + MASK;
      if ((w3 & w[m + 3]!) !== w[o + 3] || (w2 & w[m + 2]!) !== w[o + 2]) continue;
      if ((w1 & w[m + 1]!) !== w[o + 1] || (w0 & w[m]!) !== w[o]) continue;
      const ports = w[o + PORTS]!;
      if ((protocol & w[o + PROTOCOLS]!) === 0 || port < ports >>> 16 || port > (ports & 0xffff)) continue;
      this.hits[i]!++;
      return w[o + VERDICT] as Verdict;
    }
    return Verdict.None;
  }

  private set(entries: readonly Entry[]): void {
    const before = new Map(this.entries.map(({ id }, i) => [id, this.hits[i]!]));
    this.entries = entries;
    this.hits = Float64Array.from(entries, ({ id }) => before.get(id) ?? 0);
    this.words = Int32Array.from(
      entries.flatMap(({ rule }) => {
        const mask = [0, 1, 2, 3].map((i) => maskWord(bitsOf(rule), i));
        const network = rule.network.map((word, i) => word & mask[i]!);
        return [...network, ...mask, (rule.lowPort << 16) | rule.highPort, rule.protocols, verdictOf(rule)];
      }),
    );
  }
}
