/**
 * Whether tests run on the kernel with cgroup v2 that scripts/test.ts boots: it is emulated and ten times slower. Tests that
 * try every case elsewhere take a sample there.
 */
export const isEmulated = process.env.LIGHTER_TEST_DIR !== undefined;

/**
 * The step between the cases to try: 1, or more for a sample, which is smaller on the emulated kernel. LIGHTER_TEST_STRIDE=1
 * tries all.
 */
export function strideOf({ here = 1, emulated }: { here?: number; emulated: number }): number {
  return Number(process.env.LIGHTER_TEST_STRIDE ?? (isEmulated ? emulated : here));
}
