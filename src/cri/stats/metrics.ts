/** ListMetricDescriptors and ListPodSandboxMetrics: the statistics under the names that kubelet's /metrics/cadvisor has. */
import { nowNs } from "../../base/time.ts";
import { memoryStat, type StatsSample, sampleStats, workingSetBytes } from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { containersOf, isReady, listSandboxes } from "../pods.ts";

/** The kinds of metrics. Source: MetricType in api.proto. */
const COUNTER = 0;
const GAUGE = 1;

interface Metric {
  name: string;
  help: string;
  kind: number;
  /** Reads values in a container's sample, or in a sandbox's for what is the pod's. */
  read: (sample: StatsSample) => readonly { labels?: readonly string[]; value: number }[];
  labelKeys?: readonly string[];
}

const one = (value: number | undefined) => [{ value: value ?? 0 }];
const seconds = (ns: number) => one(Math.floor(ns / 1e9));

const metric = (kind: number, name: string, help: string, read: Metric["read"]): Metric => ({
  ...{ kind, name: `container_${name}`, help, read },
});
const counter = (name: string, help: string, read: Metric["read"]) => metric(COUNTER, name, help, read);
const gauge = (name: string, help: string, read: Metric["read"]) => metric(GAUGE, name, help, read);

/** What each container has. */
const OF_CONTAINERS: readonly Metric[] = [
  counter("cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", ({ cgroup }) =>
    seconds(cgroup.cpu.usageNs),
  ),
  counter("cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", ({ cgroup }) =>
    seconds(cgroup.cpu.userNs),
  ),
  counter("cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", ({ cgroup }) =>
    seconds(cgroup.cpu.systemNs),
  ),
  counter("cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", ({ cgroup }) =>
    one(cgroup.cpu.periods),
  ),
  counter("cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", ({ cgroup }) =>
    one(cgroup.cpu.throttledPeriods),
  ),
  gauge(
    "memory_usage_bytes",
    "Current memory usage in bytes, including all memory regardless of when it was accessed.",
    ({ cgroup }) => one(cgroup.memory.usageBytes),
  ),
  gauge("memory_working_set_bytes", "Current working set in bytes.", ({ cgroup }) =>
    one(workingSetBytes(cgroup.memory)),
  ),
  gauge("memory_rss", "Size of RSS in bytes.", ({ cgroup }) => one(memoryStat(cgroup.memory, "total_rss", "anon"))),
  gauge("memory_cache", "Number of bytes of page cache memory.", ({ cgroup }) =>
    one(memoryStat(cgroup.memory, "total_cache", "file")),
  ),
  counter("memory_failcnt", "Number of memory usage hits limits.", ({ memoryFailures }) => one(memoryFailures)),
  gauge("spec_memory_limit_bytes", "Memory limit for the container.", ({ cgroup }) => one(cgroup.memory.limitBytes)),
  gauge("processes", "Number of processes running inside the container.", ({ cgroup }) => one(cgroup.pids.current)),
];

const ofInterfaces = (
  name: string,
  help: string,
  field: "rxBytes" | "rxPackets" | "rxErrors" | "rxDropped",
): Metric => ({
  ...counter(name, help, ({ interfaces = [] }) =>
    interfaces.map((each) => ({ labels: [each.name], value: each[field] })),
  ),
  labelKeys: ["interface"],
});

/** What each pod has. */
const OF_PODS: readonly Metric[] = (
  [
    ["receive", "received", "rx"],
    ["transmit", "transmitted", "tx"],
  ] as const
).flatMap(([verb, done, side]) => {
  const name = (what: string) => `network_${verb}_${what}_total`;
  const field = (what: string) => `${side}${what}` as "rxBytes";
  return [
    ofInterfaces(name("bytes"), `Cumulative count of bytes ${done}`, field("Bytes")),
    ofInterfaces(name("packets"), `Cumulative count of packets ${done}`, field("Packets")),
    ofInterfaces(name("errors"), `Cumulative count of errors while packets were ${done}`, field("Errors")),
    ofInterfaces(name("packets_dropped"), `Cumulative count of packets dropped, not ${done}`, field("Dropped")),
  ];
});

/** The labels that kubelet adds to each: a container's id and a pod's are told beside. */
export function listMetricDescriptors() {
  const descriptors = [...OF_CONTAINERS, ...OF_PODS].map(({ name, help, labelKeys = [] }) => ({
    name,
    help,
    labelKeys,
  }));
  return { descriptors };
}

export function listPodSandboxMetrics({ engine }: Cri) {
  const podMetrics = listSandboxes(engine)
    .filter(isReady)
    .map((sandbox) => ({
      podSandboxId: sandbox.id,
      metrics: measure(OF_PODS, sampleStats(sandbox)),
      containerMetrics: containersOf(engine, sandbox.id).flatMap((container) => {
        const sample = sampleStats(container);
        return sample === undefined ? [] : [{ containerId: container.id, metrics: measure(OF_CONTAINERS, sample) }];
      }),
    }));
  return { podMetrics };
}

function measure(metrics: readonly Metric[], sample: StatsSample | undefined) {
  if (sample === undefined) return [];
  const timestamp = nowNs();
  return metrics.flatMap(({ name, kind, read }) =>
    read(sample).map(({ labels = [], value }) => ({
      ...{ name, timestamp, metricType: kind, labelValues: labels },
      value: { value: Math.max(0, value) },
    })),
  );
}
