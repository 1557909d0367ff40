/**
 * On the kernel with cgroup v2, which scripts/test.ts boots: an emulated one, and ten times slower. What tries every case
 * here takes a sample of them there.
 */
export const isEmulated = process.env.LIGHTER_TEST_DIR !== undefined;

/** Each so many cases: of all, or of a sample here and a smaller one there. LIGHTER_TEST_STRIDE=1 tries all. */
export function strideOf({ here = 1, emulated }: { here?: number; emulated: number }): number {
  return Number(process.env.LIGHTER_TEST_STRIDE ?? (isEmulated ? emulated : here));
}
