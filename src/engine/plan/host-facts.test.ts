import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, hostname, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseNumberList } from "../config/resources.ts";
import { hostProbe, readHostFacts } from "./host-facts.ts";

test("the facts of this host are those the kernel tells other programs", () => {
  const facts = readHostFacts();
  expect(facts.hostname).toBe(hostname());
  expect(facts.kernelVersion).toBe(release());
  expect(parseNumberList(facts.cpus)!.size).toBeGreaterThanOrEqual(availableParallelism());
  expect(parseNumberList(facts.memoryNodes)).toContain(0);
  expect(facts.capabilities.length).toBeGreaterThan(0);
});

test("the probe tells devices, directories, files and nothing apart", () => {
  expect(hostProbe.device("/dev/null")).toMatchObject({ path: "/dev/null", type: "c", major: 1, minor: 3 });
  expect(hostProbe.device("/etc/passwd")).toBeUndefined();
  expect(
    ["/dev/null", "/dev", "/etc/passwd", "/nope", "/etc/passwd/x"].map((path) => hostProbe.fileType(path)),
  ).toEqual(["character", "directory", "file", undefined, undefined]);
});

test("the probe follows a link to a device, but lists no links and no device twice", () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-probe-"));
  try {
    symlinkSync("/dev/zero", join(folder, "link"));
    symlinkSync("loop", join(folder, "loop"));
    writeFileSync(join(folder, "file"), "");
    expect(hostProbe.device(join(folder, "link"))).toMatchObject({ path: "/dev/zero", major: 1, minor: 5 });
    expect(hostProbe.fileType(join(folder, "loop"))).toBeUndefined();
    expect(hostProbe.devicesBelow(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const paths = hostProbe.devicesBelow("/dev").map((device) => device.path);
  expect(paths).toContain("/dev/null");
  expect(new Set(paths).size).toBe(paths.length);
  expect(hostProbe.devicesBelow("/nope")).toEqual([]);
});

test("the probe finds the mount that holds a path", () => {
  expect(hostProbe.propagation("/proc/self/status").mountPoint).toBe("/proc");
  expect(hostProbe.propagation("/proc").mountPoint).toBe("/proc");
});
