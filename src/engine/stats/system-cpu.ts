/** USER_HZ is 100 on every architecture that we run on. */
const NS_PER_TICK = 10_000_000;
/** user, nice, system, idle, iowait, irq, softirq. Not stolen and guests' time, as Docker has it. */
const COUNTED_FIELDS = 7;

/** All CPUs' time together, idle or not, and how many CPUs there are, from /proc/stat. */
export function parseSystemCpu(text: string): { usageNs: number; cpuCount: number } {
  const [, fields = ""] = /^cpu\s+(.*)$/m.exec(text) ?? [];
  const ticks = fields.trim().split(/\s+/).slice(0, COUNTED_FIELDS).map(Number);
  const usageNs = ticks.reduce((sum, count) => sum + count, 0) * NS_PER_TICK;
  return { usageNs, cpuCount: text.match(/^cpu\d+ /gm)?.length ?? 0 };
}
