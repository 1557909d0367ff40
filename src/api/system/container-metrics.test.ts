import { expect, test } from "bun:test";
import { checkMetrics } from "../../../tests/support/check-metrics.ts";
import { type Container, readUsage } from "../../engine/mod.ts";
import { formatContainerMetrics } from "./container-metrics.ts";

const V2: NonNullable<Parameters<typeof readUsage>[2]> = {
  mode: "unified",
  v1: [],
  v2: {
    ...{ mountPoint: "/cg", controllers: ["cpu", "memory", "pids", "io"], mountRoot: "/", ownPath: "/" },
    isHierarchyRoot: true,
  },
};

const FILES: Readonly<Record<string, string>> = {
  "cpu.stat":
    "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 4\nnr_throttled 1\nthrottled_usec 50\n",
  "memory.current": "5000\n",
  "memory.max": "max\n",
  "memory.peak": "6000\n",
  "memory.stat": "anon 3000\nfile 1000\nfile_mapped 10\ninactive_file 400\npgfault 7\npgmajfault 2\n",
  "memory.events": "low 0\nhigh 0\nmax 0\noom 3\noom_kill 1\n",
  "pids.current": "9\n",
  "pids.max": "100\n",
  "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
  "cpu.pressure": pressure(1_500_000, 0),
  "memory.pressure": pressure(2, 1),
  "io.pressure": pressure(0, 0),
  "cgroup.procs": "",
  "net/dev": "x\ny\n  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n",
  "net/sockstat": "sockets: used 12\n",
};

function pressure(someUs: number, fullUs: number): string {
  const line = (name: string, us: number) => `${name} avg10=1.50 avg60=0.00 avg300=0.00 total=${us}\n`;
  return line("some", someUs) + line("full", fullUs);
}

function container(record: object): Container {
  const whole = { id: "a".repeat(64), name: "web", image: "nginx", pid: 1, hostConfig: {}, config: {}, ...record };
  return { id: whole.id, isRunning: true, record: whole } as unknown as Container;
}

const read = (path: string) =>
  FILES[
    path
      .split("/")
      .slice(path.startsWith("/proc") ? -2 : -1)
      .join("/")
  ];
const DISK = { device: 'device="/dev/vda"', bytes: 1000, inodes: 50, freeInodes: 40 };
const usageOf = ({ record }: Container) => readUsage(record, read, V2);
const format = (...given: Parameters<typeof formatContainerMetrics>) =>
  Buffer.from(formatContainerMetrics(...given)).toString();

test("the names of cAdvisor that boards use, of a container on cgroup v2", () => {
  const text = format([container({ startedAt: "2026-01-02T03:04:05.5Z" })], [], DISK, usageOf);
  expect(checkMetrics(text)).toEqual([]);
  const labels = `id="/docker/${"a".repeat(64)}",name="web",image="nginx"`;
  const id = /id="([^"]+)"/.exec(text)?.[1] ?? "";
  const common = labels.replace(/id="[^"]+"/, `id="${id}"`);
  for (const [name, value, own = ""] of [
    ["cpu_usage_seconds_total", 2.5, ',cpu="total"'],
    ["memory_working_set_bytes", 4600],
    ["memory_rss", 3000],
    ["memory_failures_total", 2, ',failure_type="pgmajfault",scope="container"'],
    ["oom_events_total", 1],
    ["network_receive_bytes_total", 1, ',interface="eth0"'],
    ["network_transmit_packets_dropped_total", 8, ',interface="eth0"'],
    ["pressure_cpu_waiting_seconds_total", 1.5],
    ["pressure_memory_stalled_seconds_total", 0.000001],
    ["fs_limit_bytes", 1000, ',device="/dev/vda"'],
    ["fs_inodes_total", 50, ',device="/dev/vda"'],
    ["fs_inodes_free", 40, ',device="/dev/vda"'],
    ["threads", 9],
    ["sockets", 12],
    ["start_time_seconds", Date.parse("2026-01-02T03:04:05.5Z") / 1000],
  ] as const)
    expect(text.split("\n")).toContain(`container_${name}{${common}${own}} ${value}`);
  expect(text.match(/^# TYPE container_/gm)!.length).toBeGreaterThanOrEqual(45);
});

test("only labels that are asked for are shown, and hostile ones break nothing", () => {
  const Labels = { "a.b": 'x"\n# TYPE y counter\\', "a-b": "zweiter", secret: "s", constructor: "c" };
  const one = container({ image: 'evil"} 1\n', config: { Labels }, startedAt: "2026-01-02T03:04:05Z" });
  const text = format([one], ["a.b", "a-b", "toString", "{}"], DISK, usageOf);
  expect(checkMetrics(text)).toEqual([]);
  expect(text).toContain('container_label_a_b="x\\"\\n# TYPE y counter\\\\"');
  expect(text).not.toContain("secret");
  expect(text).not.toContain("zweiter");
});

test("containers that do not run, or have just ended, are no problem", () => {
  const stopped = { ...container({}), isRunning: false } as Container;
  const gone = container({ startedAt: "2026-01-02T03:04:05Z" });
  const text = format([stopped, gone], [], DISK, ({ record }) => readUsage(record, () => undefined, V2));
  expect(checkMetrics(text)).toEqual([]);
  expect(text.match(/^container_memory_usage_bytes/gm)).toHaveLength(1);
  expect(checkMetrics(format([], [], DISK, usageOf))).toEqual([]);
});
