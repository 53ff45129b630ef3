// What wirefilter does to frames, as numbers: the parameters of each direction in each state, and the Markov chain that
// moves between the states.
//
//   parameter = VALUE + PLUS, drawn anew for each frame: uniform in VALUE +- PLUS (U), or normal with a deviation of PLUS/3 (N)
//   state     = one such set per direction; state 0 is where it begins
//   chain     = every `timeMs` one step: to each other state with the percentage of the edge, else it stays

import type { Prng } from '../core/prng.ts';

/** Parameters in the order in which showinfo lists them. */
export const PARAMETERS = [
  'loss',
  'lostburst',
  'delay',
  'dup',
  'bandwidth',
  'speed',
  'noise',
  'mtu',
  'chanbufsize',
] as const;
export type Parameter = (typeof PARAMETERS)[number];

/** Directions: from left to right and back. */
export const LR = 0;
export const RL = 1;
export type Direction = 0 | 1;

/** One value of a parameter. */
export interface WireValue {
  readonly value: number;
  readonly plus: number;
  readonly normal: boolean;
}
const ZERO: WireValue = { value: 0, plus: 0, normal: false };
/** PLUS is as many deviations as keep nearly all samples inside. */
const DEVIATIONS = 3;
/** States at most: the edges are a square of them. */
export const MAX_NODES = 1000;
const MAX_NAME = 64;
export const MIN_TIME_MS = 1;
const DEFAULT_TIME_MS = 100;

/** A number drawn for one frame. */
export function sample(v: WireValue, random: Prng): number {
  if (v.plus === 0) return v.value;
  return v.value + v.plus * (v.normal ? random.normal() / DEVIATIONS : 2 * random.uniform() - 1);
}

type Values = Record<Parameter, WireValue>;

class Node {
  name = '';
  readonly values: readonly [Values, Values];
  /** Percentages of the edges to other states that are not 0. */
  readonly edges = new Map<number, number>();

  constructor() {
    const zeros = (): Values => Object.fromEntries(PARAMETERS.map((name) => [name, ZERO])) as Values;
    this.values = [zeros(), zeros()];
  }

  /** What is left for staying. */
  get stay(): number {
    let rest = 100;
    for (const percent of this.edges.values()) rest -= percent;
    return rest;
  }
}

export class ImpairModel {
  private nodes: Node[] = [new Node()];
  private at = 0;
  timeMs = DEFAULT_TIME_MS;
  /** Frames never overtake each other. */
  fifo = true;

  get nodeCount(): number {
    return this.nodes.length;
  }

  get current(): number {
    return this.at;
  }

  /** Parameters of one direction in the present state. */
  values(direction: Direction): Values {
    return this.nodes[this.at]!.values[direction];
  }

  has(node: number): boolean {
    return Number.isInteger(node) && node >= 0 && node < this.nodes.length;
  }

  get(node: number, direction: Direction, parameter: Parameter): WireValue {
    return this.nodes[node]!.values[direction][parameter];
  }

  set(node: number, direction: Direction, parameter: Parameter, value: WireValue): void {
    this.nodes[node]!.values[direction][parameter] = value;
  }

  name(node: number): string {
    return this.nodes[node]!.name;
  }

  setName(node: number, name: string): void {
    this.nodes[node]!.name = name.slice(0, MAX_NAME);
  }

  /** Adds states or takes the last ones away, with the edges that lead there; false for a number that cannot be. */
  setNodeCount(count: number): boolean {
    if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) return false;
    while (this.nodes.length < count) this.nodes.push(new Node());
    this.nodes.length = count;
    for (const node of this.nodes) for (const to of node.edges.keys()) if (to >= count) node.edges.delete(to);
    if (this.at >= count) this.at = 0;
    return true;
  }

  setCurrent(node: number): boolean {
    if (!this.has(node)) return false;
    this.at = node;
    return true;
  }

  /** Sets the percentage of an edge; false when there is no such state, or more than 100 would lead away. */
  setEdge(from: number, to: number, percent: number): boolean {
    if (!this.has(from) || !this.has(to) || !(percent >= 0 && percent <= 100)) return false;
    if (from === to) return true; // always what the others leave
    const { edges, stay } = this.nodes[from]!;
    if (percent > stay + (edges.get(to) ?? 0)) return false;
    if (percent === 0) edges.delete(to);
    else edges.set(to, percent);
    return true;
  }

  /** Percentage of an edge. */
  edge(from: number, to: number): number {
    return from === to ? this.nodes[from]!.stay : (this.nodes[from]!.edges.get(to) ?? 0);
  }

  /** One step of the chain; the state left, or -1 when it stayed. */
  step(random: Prng): number {
    let draw = random.uniform() * 100;
    for (const [to, percent] of this.nodes[this.at]!.edges) {
      draw -= percent;
      if (draw >= 0) continue;
      const from = this.at;
      this.at = to;
      return from;
    }
    return -1;
  }
}
