/** Seeded random values: the same seed gives the same values. Not for secrets. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /**
   * Creates a generator from `FUZZ_SEED` in the environment, or from a new seed, which is printed so that a failure can be
   * repeated.
   */
  static fromEnvironment(what: string): Random {
    const seed = Number(process.env.FUZZ_SEED ?? crypto.getRandomValues(new Uint32Array(1))[0]);
    console.log(`${what}: FUZZ_SEED=${seed}`);
    return new Random(seed);
  }

  /** The next 32 bits. mulberry32 by Tommy Ettinger, public domain. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer in 0 … `end` - 1; `end` is at most 2^32. */
  below(end: number): number {
    return Math.floor((this.u32() / 2 ** 32) * end);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** How many rounds to take: a tenth inside the small engine, whose rounds take ten times as long, and whose own faults need few. */
export function rounds(count: number): number {
  return "host" in globalThis ? count / 10 : count;
}
