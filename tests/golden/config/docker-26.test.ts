import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { OciConfig, OciDeviceRule, OciMount } from "../../../src/spec/oci-runtime.ts";
import { CASES } from "./cases.ts";
import { runCase } from "./run-case.ts";

/**
 * Our config beside the one that Docker 26.1.5 handed to runc for the same body (docker-26/*.json; ids, host paths and
 * process ids replaced, the rules of the seccomp profile and the virtual consoles of /dev left out).
 * `asOurs` is the complete list of differences, all on purpose; anything else fails.
 */
const folder = join(import.meta.dirname, "docker-26");

/** GHSA-6fw5-f8r9-fgfm: Docker masks it since 28. */
const NEWER_MASKED_PATHS = ["/proc/interrupts"];

function asOurs(docker: OciConfig, ours: OciConfig): OciConfig {
  const config = structuredClone(docker);
  const linux = config.linux!;
  const process = config.process!;

  // runc looks HOME up in the passwd file; our engine does it.
  const home = ours.process!.env!.find((variable) => variable.startsWith("HOME="))!;
  if (!process.env!.some((variable) => variable.startsWith("HOME="))) process.env!.push(home);

  // Docker gives its device rules twice, and forbids /dev/fuse after having forbidden everything.
  const rules = linux.resources!.devices!.slice(8);
  const denyFuse = (rule: OciDeviceRule) => !rule.allow && rule.major === 10 && rule.minor === 229;
  linux.resources!.devices = rules.filter((rule) => !denyFuse(rule));

  // A node for ptmx would be the host's.
  if (linux.devices !== undefined) linux.devices = linux.devices.filter((device) => device.path !== "/dev/ptmx");

  // An empty object says nothing.
  if (Object.keys(linux.resources!.blockIO ?? {}).length === 0) delete linux.resources!.blockIO;

  // Docker has a cgroup namespace on cgroup v2 only, and no time namespace.
  const withoutCgroup = linux.namespaces!.filter((namespace) => namespace.type !== "cgroup");
  const ownCgroup = ours.linux!.namespaces!.some((namespace) => namespace.type === "cgroup");
  linux.namespaces = [...withoutCgroup, ...(ownCgroup ? [{ type: "cgroup" as const }] : []), { type: "time" }];

  linux.cgroupsPath = linux.cgroupsPath!.replace(/^\/docker\//, "/lighter/");

  // Newer masks, and another order.
  if (linux.maskedPaths !== undefined) linux.maskedPaths = [...linux.maskedPaths, ...NEWER_MASKED_PATHS].sort();

  // Docker mounts what is shared on the host, where anybody comes by it.
  config.mounts = sortMounts(config.mounts!).map((mount) =>
    mount.source === "/files/shm" ? ({ ...mount, source: "shm", filesystem: 0 } as OciMount) : mount,
  );
  return config;
}

/** Docker sorts what was asked for by depth, and leaves mounts of one depth in no certain order. */
function sortMounts(mounts: readonly OciMount[]): OciMount[] {
  const kernel = (mount: OciMount) =>
    ["proc", "sysfs", "cgroup", "devpts", "mqueue"].includes(mount.type!) || mount.options!.includes("mode=755");
  const key = (mount: OciMount) =>
    kernel(mount) ? "0" : `${mount.destination.split("/").length} ${mount.destination}`;
  return mounts.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

for (const testCase of CASES.filter((each) => each.docker)) {
  test(`the config differs from Docker 26's only where it is meant to: ${testCase.name}`, () => {
    const docker = JSON.parse(readFileSync(join(folder, `${testCase.name}.json`), "utf8"));
    const { prepared, oci } = runCase(testCase);
    const ours = structuredClone(oci);
    ours.mounts = sortMounts(ours.mounts!);
    if (ours.linux!.maskedPaths !== undefined) ours.linux!.maskedPaths.sort();
    expect(ours).toEqual(asOurs(docker.config, oci));
    expect(prepared.warnings).toEqual(docker.warnings);
  });
}

test("parents are mounted before what lies in them", () => {
  for (const testCase of CASES) {
    const mounts = runCase(testCase).oci.mounts!.filter(({ options }) => !options?.includes("remount"));
    const destinations = mounts.map((mount) => mount.destination);
    for (const [index, destination] of destinations.entries())
      expect(destinations.slice(index + 1).filter((later) => destination.startsWith(`${later}/`))).toEqual([]);
  }
});

test("every capture of Docker's belongs to a case that is compared", () => {
  const compared = CASES.filter((each) => each.docker).map((each) => `${each.name}.json`);
  expect(readdirSync(folder).sort()).toEqual(compared.sort());
});
