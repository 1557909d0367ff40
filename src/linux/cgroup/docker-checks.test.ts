import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "../../../tests/support/cgroup-hosts.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { discardUnsupported } from "./docker-checks.ts";
import type { CgroupHost } from "./host.ts";
import { detectCgroupHost } from "./host.ts";
import { planCgroup } from "./plan.ts";

const hybrid = detectCgroupHost(readFrom(PLAIN_HYBRID));
const unified = detectCgroupHost(readFrom(UNIFIED));
/** v2 with no controllers at all. */
const bare: CgroupHost = { ...unified, v2: { ...unified.v2!, controllers: [] } };

const WANTED: OciResources = {
  memory: {
    limit: 2 ** 26,
    swap: 2 ** 27,
    reservation: 2 ** 25,
    swappiness: 10,
    kernel: 2 ** 24,
    disableOOMKiller: true,
  },
  pids: { limit: 5 },
  cpu: { shares: 10, quota: 1000, period: 2000, cpus: "0", mems: "0" },
  blockIO: {
    weight: 10,
    weightDevice: [{ major: 8, minor: 0, weight: 10 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
    throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
    throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 1 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 1 }],
  },
};

test("discardUnsupported says of each missing capability what Docker says, and leaves nothing that would fail", () => {
  const before = structuredClone(WANTED);
  const { resources, warnings } = discardUnsupported(bare, WANTED);
  expect(warnings).toEqual([
    "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
    "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
    "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
    "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
  ]);
  expect(planCgroup(bare, "/a/b", resources)).toMatchObject({ writes: [], warnings: [] });
  expect(WANTED).toEqual(before);
});

test("discardUnsupported keeps what the host can do", () => {
  const { kernel: _, ...memory } = WANTED.memory!;
  const wanted = { ...WANTED, memory };
  expect(discardUnsupported(hybrid, wanted)).toEqual({ resources: wanted, warnings: [] });
});

test("discardUnsupported: memory is limited without swap where swap is not accounted", () => {
  const host: CgroupHost = { ...unified, interfaceFiles: new Set(["memory.max"]) };
  const { resources, warnings } = discardUnsupported(host, { memory: { limit: 2 ** 26, swap: 2 ** 27 } });
  expect(warnings).toEqual([
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
  ]);
  expect(resources).toEqual({ memory: { limit: 2 ** 26 } });
});

test("discardUnsupported warns of a disabled OOM killer without a limit", () => {
  expect(discardUnsupported(hybrid, { memory: { disableOOMKiller: true } }).warnings).toEqual([
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
  ]);
});
