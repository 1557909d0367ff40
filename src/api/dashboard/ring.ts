/** The last measurements of one thing, oldest first: a list of numbers for each moment, in memory of a fixed size. */

/** An hour, with a moment each ten seconds. */
export const HISTORY_STEP_MS = 10_000;
const HISTORY_MOMENTS = 360;

export class Ring {
  readonly #columns: number;
  readonly #values: Float64Array;
  #count = 0;

  constructor(columns: number) {
    this.#columns = columns;
    this.#values = new Float64Array(columns * HISTORY_MOMENTS);
  }

  push(row: readonly number[]): void {
    this.#values.set(row.slice(0, this.#columns), (this.#count++ % HISTORY_MOMENTS) * this.#columns);
  }

  rows(): number[][] {
    const first = Math.max(0, this.#count - HISTORY_MOMENTS);
    return Array.from({ length: this.#count - first }, (_, index) => {
      const start = ((first + index) % HISTORY_MOMENTS) * this.#columns;
      return Array.from(this.#values.subarray(start, start + this.#columns));
    });
  }
}
