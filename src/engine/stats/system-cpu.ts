/** The length of a tick: USER_HZ is 100 on every architecture that we run on. */
const NS_PER_TICK = 10_000_000;
/** The fields user, nice, system, idle, iowait, irq, softirq; stolen and guests' time does not count, as with Docker. */
const COUNTED_FIELDS = 7;

/** Parses /proc/stat: the time of all CPUs together, idle or not, and how many CPUs there are. */
export function parseSystemCpu(text: string): { usageNs: number; cpuCount: number } {
  const [, fields = ""] = /^cpu\s+(.*)$/m.exec(text) ?? [];
  const ticks = fields.trim().split(/\s+/).slice(0, COUNTED_FIELDS).map(Number);
  const usageNs = ticks.reduce((sum, count) => sum + count, 0) * NS_PER_TICK;
  return { usageNs, cpuCount: text.match(/^cpu\d+ /gm)?.length ?? 0 };
}
