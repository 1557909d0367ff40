/** Thrown for a broken assumption, which is a bug of ours: the operation fails loudly. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new AssertionError(`bug: ${what}`);
}

/** Fails in the default branch of a switch that must be exhaustive. */
export function unreachable(value: never, what = "unexpected value"): never {
  throw new AssertionError(`bug: ${what}: ${JSON.stringify(value)}`);
}
