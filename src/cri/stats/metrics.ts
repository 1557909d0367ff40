/** ListMetricDescriptors and ListPodSandboxMetrics: the statistics under the names that kubelet's /metrics/cadvisor has. */
import { nowNs } from "../../base/time.ts";
import type { StatsSample } from "../../engine/mod.ts";
import { sampleStats } from "../../engine/mod.ts";
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
const stat = (sample: StatsSample, ...names: readonly string[]) =>
  one(Number(names.map((name) => sample.cgroup.memory.stat[name]).find((each) => each != null) ?? 0));
const seconds = (ns: number) => one(Math.floor(ns / 1e9));

/** What each container has. */
const OF_CONTAINERS: readonly Metric[] = [
  {
    name: "container_cpu_usage_seconds_total",
    help: "Cumulative cpu time consumed in seconds.",
    kind: COUNTER,
    read: ({ cgroup }) => seconds(cgroup.cpu.usageNs),
  },
  {
    name: "container_cpu_user_seconds_total",
    help: "Cumulative user cpu time consumed in seconds.",
    kind: COUNTER,
    read: ({ cgroup }) => seconds(cgroup.cpu.userNs),
  },
  {
    name: "container_cpu_system_seconds_total",
    help: "Cumulative system cpu time consumed in seconds.",
    kind: COUNTER,
    read: ({ cgroup }) => seconds(cgroup.cpu.systemNs),
  },
  {
    name: "container_cpu_cfs_periods_total",
    help: "Number of elapsed enforcement period intervals.",
    kind: COUNTER,
    read: ({ cgroup }) => one(cgroup.cpu.periods),
  },
  {
    name: "container_cpu_cfs_throttled_periods_total",
    help: "Number of throttled period intervals.",
    kind: COUNTER,
    read: ({ cgroup }) => one(cgroup.cpu.throttledPeriods),
  },
  {
    name: "container_memory_usage_bytes",
    help: "Current memory usage in bytes, including all memory regardless of when it was accessed.",
    kind: GAUGE,
    read: ({ cgroup }) => one(cgroup.memory.usageBytes),
  },
  {
    name: "container_memory_working_set_bytes",
    help: "Current working set in bytes.",
    kind: GAUGE,
    read: (sample) => {
      const [inactive] = stat(sample, "total_inactive_file", "inactive_file");
      return one(Math.max(0, sample.cgroup.memory.usageBytes - inactive!.value));
    },
  },
  {
    name: "container_memory_rss",
    help: "Size of RSS in bytes.",
    kind: GAUGE,
    read: (sample) => stat(sample, "total_rss", "anon"),
  },
  {
    name: "container_memory_cache",
    help: "Number of bytes of page cache memory.",
    kind: GAUGE,
    read: (sample) => stat(sample, "total_cache", "file"),
  },
  {
    name: "container_memory_failcnt",
    help: "Number of memory usage hits limits.",
    kind: COUNTER,
    read: ({ memoryFailures }) => one(memoryFailures),
  },
  {
    name: "container_spec_memory_limit_bytes",
    help: "Memory limit for the container.",
    kind: GAUGE,
    read: ({ cgroup }) => one(cgroup.memory.limitBytes),
  },
  {
    name: "container_processes",
    help: "Number of processes running inside the container.",
    kind: GAUGE,
    read: ({ cgroup }) => one(cgroup.pids.current),
  },
];

const ofInterfaces = (
  name: string,
  help: string,
  field: "rxBytes" | "rxPackets" | "rxErrors" | "rxDropped",
): Metric => ({
  ...{ name, help, kind: COUNTER, labelKeys: ["interface"] },
  read: ({ interfaces = [] }) => interfaces.map((each) => ({ labels: [each.name], value: each[field] })),
});

/** What each pod has. */
const OF_PODS: readonly Metric[] = (
  [
    ["receive", "received", "rx"],
    ["transmit", "transmitted", "tx"],
  ] as const
).flatMap(([verb, done, side]) => {
  const name = (what: string) => `container_network_${verb}_${what}_total`;
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
