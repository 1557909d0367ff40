/** The flags that describe a container, for `run`, `create`, `update` and `explain`. */
import { parseDuration } from "../../base/duration.ts";
import { int64Number } from "../../base/int64.ts";
import { parseRamBytes } from "../../base/value-syntax.ts";
import { aliasFlag, boolFlag, type FlagValues, intFlag, listFlag, stringFlag, uintFlag, valueFlag } from "../flags.ts";
import { parseEnvFlag } from "../values/env-file.ts";
import { parseLabel } from "../values/labels.ts";
import { parseMount } from "../values/mount-value.ts";
import { parseExtraHost, parseIpAddress, parseNetwork, parseSearchDomain } from "../values/network-values.ts";
import {
  parseDeviceBps,
  parseDeviceCgroupRule,
  parseDeviceIops,
  parseDeviceWeight,
  parseGpus,
  parseMemorySwap,
  parseNanoCpus,
  parseSysctl,
  parseUlimit,
} from "../values/resource-values.ts";
import { machineFlags } from "./machine-flags.ts";

const bytesFlag = (help: string, extra: { short?: string } = {}) => valueFlag(help, "bytes", 0, parseRamBytes, extra);
const durationFlag = (help: string) =>
  valueFlag(help, "duration", 0, (text) => int64Number(parseDuration(text))!, { shown: "0s" });
const hiddenString = stringFlag("", { hidden: true });

/** Makes a flag that means something on Windows only, so that it can be refused by name. */
const windowsFlag = (name: string, type: string) =>
  valueFlag(
    "",
    type,
    undefined,
    () => {
      throw new Error(`"--${name}" is only supported on a Docker daemon running on windows`);
    },
    { hidden: true },
  );

function parseAttach(text: string): string {
  const stream = text.toLowerCase();
  if (!["stdin", "stdout", "stderr"].includes(stream)) throw new Error("valid streams are STDIN, STDOUT and STDERR");
  return stream;
}

export function parseLink(text: string): string {
  const parts = text.split(":");
  if (text === "") throw new Error("empty string specified for links");
  if (parts.length > 2) throw new Error(`bad format for links: ${text}`);
  return text;
}

/** Flags that describe a container, shared by run, create and explain. */
export const containerFlags = {
  ...machineFlags,
  "add-host": listFlag("Extra line for /etc/hosts (name:ip)", { item: parseExtraHost }),
  annotation: listFlag("Annotation for the OCI runtime (key=value)", { type: "map" }),
  attach: listFlag("Attach only these streams: STDIN, STDOUT, STDERR", { short: "a", item: parseAttach }),
  "blkio-weight": uintFlag("Share of disk I/O, 10 to 1000, 0 for the default", 16),
  "blkio-weight-device": listFlag("Share of I/O on one device (path:weight)", { item: parseDeviceWeight }),
  "cap-add": listFlag("Capability to add"),
  "cap-drop": listFlag("Capability to drop"),
  "cgroup-parent": stringFlag("Parent cgroup"),
  cgroupns: stringFlag("cgroup namespace: host or private"),
  cidfile: stringFlag("Write the container's ID to this file"),
  "cpu-count": windowsFlag("cpu-count", "int"),
  "cpu-percent": windowsFlag("cpu-percent", "int"),
  "cpu-period": intFlag("CPU quota period in microseconds"),
  "cpu-quota": intFlag("CPU time per period in microseconds"),
  "cpu-rt-period": intFlag("Real-time CPU period in microseconds"),
  "cpu-rt-runtime": intFlag("Real-time CPU time per period in microseconds"),
  "cpu-shares": intFlag("Relative share of CPU time", { short: "c" }),
  cpus: valueFlag("Number of CPUs, fractions allowed", "decimal", 0, parseNanoCpus),
  "cpuset-cpus": stringFlag("CPUs to run on (0-3, 0,1)"),
  "cpuset-mems": stringFlag("Memory nodes to use (0-3, 0,1)"),
  device: listFlag("Device to add: host[:container][:rwm], or a CDI name (vendor.com/class=name)"),
  "device-cgroup-rule": listFlag("Rule for the device cgroup", { item: parseDeviceCgroupRule }),
  "device-read-bps": listFlag("Limit reads from a device, bytes/s (path:rate)", { item: parseDeviceBps }),
  "device-read-iops": listFlag("Limit reads from a device, operations/s", { item: parseDeviceIops }),
  "device-write-bps": listFlag("Limit writes to a device, bytes/s (path:rate)", { item: parseDeviceBps }),
  "device-write-iops": listFlag("Limit writes to a device, operations/s", { item: parseDeviceIops }),
  "disable-content-trust": boolFlag("", { initial: true, hidden: true }),
  dns: listFlag("DNS server", { item: parseIpAddress }),
  "dns-opt": aliasFlag("dns-option"),
  "dns-option": listFlag("DNS resolver option"),
  "dns-search": listFlag("DNS search domain", { item: parseSearchDomain }),
  domainname: stringFlag("NIS domain name"),
  entrypoint: stringFlag("Replace the image's entrypoint"),
  env: listFlag("Environment variable (K=V, or K to pass ours on)", { short: "e", item: (text) => parseEnvFlag(text) }),
  "env-file": listFlag("Read environment variables from a file"),
  expose: listFlag("Port or range of ports to expose"),
  gpus: listFlag("GPUs to add (all, 2, device=0)", { type: "gpu-request", item: parseGpus }),
  "group-add": listFlag("Additional group to join"),
  "health-cmd": stringFlag("Command that checks health"),
  "health-interval": durationFlag("Time between health checks"),
  "health-retries": intFlag("Failures in a row that mean unhealthy"),
  "health-start-interval": durationFlag("Time between health checks during the start period"),
  "health-start-period": durationFlag("Time to start up before failures count"),
  "health-timeout": durationFlag("Longest time for one health check"),
  hostname: stringFlag("Host name inside", { short: "h" }),
  init: boolFlag("Run a small init as pid 1 that forwards signals and reaps"),
  interactive: boolFlag("Keep stdin open even if not attached", { short: "i" }),
  "io-maxbandwidth": windowsFlag("io-maxbandwidth", "bytes"),
  "io-maxiops": windowsFlag("io-maxiops", "uint"),
  ip: stringFlag("IPv4 address"),
  ip6: stringFlag("IPv6 address"),
  ipc: stringFlag("IPC mode: private, shareable, host, none, container:NAME"),
  isolation: hiddenString,
  "kernel-memory": valueFlag("Has no effect any more", "bytes", 0, parseRamBytes, { hidden: true }),
  label: listFlag("Label (key=value)", { short: "l", item: parseLabel }),
  "label-file": listFlag("Read labels from a file"),
  link: listFlag("Link to another container", { item: parseLink }),
  "link-local-ip": listFlag("Link-local address"),
  "log-driver": stringFlag("Logging driver"),
  "log-opt": listFlag("Logging driver option (key=value)"),
  "mac-address": stringFlag("MAC address (92:d0:c6:0a:29:33)"),
  memory: bytesFlag("Memory limit", { short: "m" }),
  "memory-reservation": bytesFlag("Memory soft limit"),
  "memory-swap": valueFlag("Limit of memory and swap together, -1 for no limit", "bytes", 0, parseMemorySwap),
  "memory-swappiness": intFlag("Swappiness, 0 to 100", { initial: -1 }),
  mount: listFlag("Mount (type=bind,src=/a,dst=/b,readonly)", { type: "mount", item: parseMount }),
  net: aliasFlag("network"),
  "net-alias": aliasFlag("network-alias"),
  network: listFlag("Network to join: none, host, NAME", { type: "network", item: parseNetwork }),
  "network-alias": listFlag("Name of the container on its network"),
  "no-healthcheck": boolFlag("Switch off the image's health check"),
  "oom-kill-disable": boolFlag("Let the container wait for memory instead of killing"),
  "oom-score-adj": intFlag("Preference of the kernel's OOM killer, -1000 to 1000"),
  pid: stringFlag("PID namespace: host, container:NAME"),
  "pids-limit": intFlag("Limit of processes, -1 for no limit"),
  privileged: boolFlag("Give nearly all privileges of the host"),
  publish: listFlag("Publish a port ([ip:][host:]container[/proto])", { short: "p" }),
  "publish-all": boolFlag("Publish all exposed ports to free host ports", { short: "P" }),
  "read-only": boolFlag("Make the root file system read-only"),
  restart: stringFlag("When to start again after an exit", { initial: "no" }),
  rm: boolFlag("Remove the container when it exits"),
  runtime: stringFlag("Runtime to use"),
  "security-opt": listFlag("seccomp=FILE|unconfined, no-new-privileges, ..."),
  "shm-size": bytesFlag("Size of /dev/shm"),
  "stop-signal": stringFlag("Signal that asks the container to stop"),
  "stop-timeout": intFlag("Seconds to wait for a stop before killing"),
  "storage-opt": listFlag("Storage option (key=value)"),
  sysctl: listFlag("Kernel parameter of the container (key=value)", { type: "map", item: parseSysctl }),
  tmpfs: listFlag("Mount a tmpfs (path[:options])"),
  tty: boolFlag("Give the container a terminal", { short: "t" }),
  ulimit: listFlag("Resource limit (name=soft[:hard])", { type: "ulimit", item: parseUlimit }),
  user: stringFlag("User to run as (<name|uid>[:<group|gid>])", { short: "u" }),
  userns: stringFlag("User namespace mode"),
  uts: stringFlag("UTS namespace: host"),
  volume: listFlag("Bind mount or volume (source:target[:options])", { short: "v" }),
  "volume-driver": stringFlag("Driver for volumes"),
  "volumes-from": listFlag("Take the mounts of another container"),
  workdir: stringFlag("Working directory inside", { short: "w" }),
};

/** Flags of creating a container that do not describe it. */
export const createFlags = {
  ...containerFlags,
  help: boolFlag("Print usage"),
  name: stringFlag("Name of the container"),
  platform: stringFlag("Platform of the image (os/arch)"),
  pull: stringFlag('Pull the image first: "always", "missing" or "never"', { initial: "missing" }),
  quiet: boolFlag("Do not show the pull's progress", { short: "q" }),
};

export type ContainerFlagValues = FlagValues<typeof containerFlags>;
export type CreateFlagValues = FlagValues<typeof createFlags>;
