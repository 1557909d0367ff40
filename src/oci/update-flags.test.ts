import { expect, test } from "bun:test";
import { command } from "./commands/update.ts";
import { parseFlags } from "./flags.ts";
import { flagResources } from "./update-flags.ts";

function resources(line: string, warnings: string[] = []) {
  return flagResources(parseFlags(line.split(" "), command.flags), (warning) => warnings.push(warning));
}

test("flagResources asks for what the flags say, and nothing else", () => {
  expect(resources("c1")).toEqual({ memory: {}, cpu: {} });
  expect(
    resources("--memory 64M --memory-swap -1 --memory-reservation=1.5k c1 --cpu-share 512 --cpu-quota -1"),
  ).toEqual({
    memory: { limit: 67108864, swap: -1, reservation: 1536 },
    cpu: { shares: 512, quota: -1 },
  });
  expect(
    resources(
      "--cpu-period 1000 --cpu-burst 10 --cpu-rt-period 5 --cpu-rt-runtime 4 --cpu-idle 0 --cpuset-cpus 0-1 c1",
    ),
  ).toEqual({
    memory: {},
    cpu: { period: 1000, burst: 10, realtimePeriod: 5, realtimeRuntime: 4, idle: 0, cpus: "0-1" },
  });
  expect(resources("--pids-limit -1 --blkio-weight 100 c1")).toMatchObject({
    pids: { limit: -1 },
    blockIO: { weight: 100 },
  });
  // For these two, 0 is a value.
  expect(resources("--pids-limit 0 --cpu-burst 0 c1")).toMatchObject({ pids: { limit: 0 }, cpu: { burst: 0 } });
});

test("flagResources reads sizes as Docker does", () => {
  const size = (text: string) => flagResources(parseFlags(["--memory", text], command.flags), () => {}).memory?.limit;
  for (const [text, bytes] of [
    ["1024", 1024],
    ["1b", 1],
    ["1kb", 1024],
    ["1KiB", 1024],
    ["2 g", 2147483648],
    ["0.5T", 549755813888],
  ] as const)
    expect(size(text)).toBe(bytes);
  for (const bad of ["abc", "1x", "-2", "1 2", "k", "1ibk"])
    expect(() => size(bad)).toThrow(`invalid value for memory: invalid size: '${bad}'`);
});

test("flagResources refuses numbers that are none, and warns of what has no effect", () => {
  for (const flag of ["cpu-share", "cpu-period", "cpu-quota", "cpu-idle"])
    for (const bad of ["x", "1.5", "1e3", "9223372036854775808"])
      expect(() => resources(`--${flag} ${bad} c1`)).toThrow(`invalid value for ${flag}`);
  expect(() => resources("--cpu-share -1 c1")).toThrow("invalid value for cpu-share");
  const warnings: string[] = [];
  resources("--kernel-memory 5 c1", warnings);
  expect(warnings).toEqual(["Setting --kernel-memory is ignored and will be removed"]);
});
