import { expect, test } from "bun:test";
import { HYBRID_HOST } from "../../../tests/golden/config/host.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { HostProbe } from "./host.ts";
import { planResources } from "./resources.ts";
import { mergeUpdate, parseUpdateBody, prepareUpdate } from "./update.ts";

const MiB = 1048576;
const withoutWeight = { ...HYBRID_HOST, cgroup: { ...HYBRID_HOST.cgroup, blkioWeight: false, pidsLimit: false } };

function changesOf(given: DockerHostConfig): DockerHostConfig {
  return prepareUpdate(given, HYBRID_HOST).changes;
}

test("changes are what is given, and nothing that creation would add", () => {
  expect(changesOf({})).toEqual({});
  expect(changesOf({ Memory: 64 * MiB, CpuShares: 512, CpusetCpus: "0" })).toEqual({
    ...{ Memory: 64 * MiB, CpuShares: 512, CpusetCpus: "0" },
  });
  expect(changesOf({ MemorySwap: 128 * MiB })).toEqual({ MemorySwap: 128 * MiB });
  expect(changesOf({ MemorySwap: -1 })).toEqual({ MemorySwap: -1 });
  expect(changesOf({ Memory: 0, CpuQuota: 0, RestartPolicy: { Name: "" } })).toEqual({});
  expect(changesOf({ RestartPolicy: { Name: "always" } })).toEqual({ RestartPolicy: { Name: "always" } });
});

test.each([
  [50, 50],
  [0, -1],
  [-1, -1],
])("a limit of %d processes is %d", (given, limit) => {
  expect(changesOf({ PidsLimit: given })).toEqual({ PidsLimit: limit });
});

test("what this kernel has not is left as it is, with a warning", () => {
  const { changes, warnings } = prepareUpdate({ BlkioWeight: 300, PidsLimit: 5 }, withoutWeight);
  expect(changes).toEqual({});
  expect(warnings).toHaveLength(2);
});

test("a limit of processes that was taken away is none at the next start either", () => {
  const after = mergeUpdate({ PidsLimit: 3 }, changesOf({ PidsLimit: -1 }));
  expect(planResources(after, [], {} as HostProbe)).not.toHaveProperty("pids");
});

test("the rest of the settings stays", () => {
  const current = { Memory: 1, MemorySwap: 1000, NetworkMode: "none", PidsLimit: 3 };
  expect(mergeUpdate(current, { Memory: 500, PidsLimit: -1 })).toEqual({ ...current, Memory: 500, PidsLimit: 0 });
  expect(mergeUpdate({}, { RestartPolicy: { Name: "on-failure" } })).toEqual({
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 0 },
  });
});

test.each([
  [{ CpuPeriod: 5000 }, { NanoCpus: 1 }, "Nano CPUs cannot be updated as CPU Period has already been set"],
  [{ CpuQuota: 5000 }, { NanoCpus: 1 }, "Nano CPUs cannot be updated as CPU Quota has already been set"],
  [{ NanoCpus: 1 }, { CpuPeriod: 5000 }, "CPU Period cannot be updated as NanoCPUs has already been set"],
  [{ NanoCpus: 1 }, { CpuQuota: 5000 }, "CPU Quota cannot be updated as NanoCPUs has already been set"],
  [{ MemorySwap: 10 }, { Memory: 11 }, "Memory limit should be smaller than already set memoryswap limit"],
  [{ AutoRemove: true }, { RestartPolicy: { Name: "always" } }, "Restart policy cannot be updated because AutoRemove"],
])("%j does not go with %j", (current: DockerHostConfig, changes: DockerHostConfig, message) => {
  expect(() => mergeUpdate(current, changes)).toThrow(message);
});

test("a body is read like a host config; the kernel's own memory has no limit to set", () => {
  expect(parseUpdateBody({ memory: 7, KernelMemory: 5, Devices: [] })).toEqual({ Memory: 7, Devices: [] });
  expect(() => parseUpdateBody([])).toThrow("must be an object");
  expect(() => parseUpdateBody({ Memory: "7" })).toThrow("Memory: must be an integer");
});
