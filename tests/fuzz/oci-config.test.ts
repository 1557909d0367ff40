import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import { loadCompiler } from "../../src/linux/seccomp/memo.ts";
import { viewOf } from "../../src/oci/container-view.ts";
import { createState, openState } from "../../src/oci/state.ts";
import { compileExec, compileStart } from "../../src/runtime/compile.ts";
import type { HostFacts } from "../../src/runtime/host-facts.ts";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { parseOciConfig, parseOciProcess, parseOciResources } from "../../src/spec/parse-oci-config.ts";
import { fullConfig } from "../support/full-config.ts";
import { mutateText, mutateValue } from "../support/mutate.ts";
import { HYBRID, UNIFIED_V2 } from "../support/program-cases.ts";
import { Random } from "../support/random.ts";

await loadCompiler();

/** What `attempt` came to. Anything but a value or a failure that names the caller's mistake is a fault of ours. */
function outcome(attempt: () => unknown): "taken" | "refused" {
  try {
    attempt();
    return "taken";
  } catch (error) {
    if (error instanceof LighterError && ["invalid", "not-supported"].includes(error.code)) return "refused";
    throw error;
  }
}

/** Without what is not to be had on one of the tests' hosts, so that the rest compiles on both. */
function compilableConfig(): OciConfig {
  const config = fullConfig();
  const { intelRdt: _, mountLabel: _label, resources, ...linux } = config.linux ?? {};
  const {
    network: _net,
    rdma: _rdma,
    unified: _unified,
    hugepageLimits: _huge,
    memory,
    blockIO,
    ...rest
  } = resources ?? {};
  const { swappiness: _swappiness, disableOOMKiller: _oom, ...memoryRest } = memory ?? {};
  const mounts = config.mounts?.filter(({ uidMappings }) => !uidMappings) ?? [];
  const { selinuxLabel: _selinux, apparmorProfile: _apparmor, ...process } = config.process ?? { cwd: "/" };
  return { ...config, process, mounts, linux: { ...linux, resources: { ...rest, memory: memoryRest } } };
}

const REQUEST = {
  id: "fuzz",
  rootfs: [],
  runDirectory: "/run/fuzz",
  stdio: { terminal: false, stdin: false },
  attach: [],
};

function compile(config: OciConfig, host: HostFacts): void {
  encodeProgram(compileStart({ ...REQUEST, config }, host, true).program);
  if (config.process)
    encodeProgram(compileExec({ ...REQUEST, config, process: config.process, containerPid: 1 }, host));
}

test("a config.json mutated as text is read or refused, never a crash", () => {
  const random = Random.fromEnvironment("config.json mutated as text");
  const json = JSON.stringify(fullConfig());
  const seen = new Set<string>();
  for (let round = 0; round < 4000; round++)
    seen.add(outcome(() => parseOciConfig(mutateText(random, json), "config.json")));
  expect([...seen].sort()).toEqual(["refused", "taken"]);
});

test("a config mutated by value compiles to a program or is refused, never a crash", () => {
  const random = Random.fromEnvironment("configs mutated by value");
  const seen = new Set<string>();
  for (const host of [HYBRID, UNIFIED_V2]) compile(compilableConfig(), host);
  for (let round = 0; round < 1500; round++) {
    let mutated: unknown = random.below(4) === 0 ? fullConfig() : compilableConfig();
    for (let count = random.below(3); count >= 0; count--) mutated = mutateValue(random, mutated);
    const json = JSON.stringify(mutated);
    seen.add(outcome(() => compile(parseOciConfig(json, "config.json"), random.pick([HYBRID, UNIFIED_V2]))));
  }
  expect([...seen].sort()).toEqual(["refused", "taken"]);
});

test("every prefix of a config.json is refused", () => {
  const json = JSON.stringify({ ociVersion: "1.2.0", process: { cwd: "/", args: ["a"] }, root: { path: "/" } });
  for (let length = 0; length < json.length; length++)
    expect(outcome(() => parseOciConfig(json.slice(0, length), "config.json"))).toBe("refused");
});

test.each([
  ["lists", "[", "]"],
  ["objects", '{"linux":', "}"],
])("a config.json of deeply nested %s is read or refused, never a crash", (_, open, close) => {
  for (const depth of [1000, 100_000, 1_000_000])
    for (const end of ["", `1${close.repeat(depth)}`]) {
      const json = `{"ociVersion":"1.2.0","linux":${open.repeat(depth)}${end}}`;
      const outcomes = [json, json.replace("{", '{"a":12345678901234567,')].map((text) =>
        outcome(() => parseOciConfig(text, "config.json")),
      );
      // Within what the stack holds, an unknown property may hold anything.
      if (end === "" || open === "[") expect(outcomes).toEqual(["refused", "refused"]);
    }
});

test("processes and resources mutated by value are read or refused, never a crash", () => {
  const random = Random.fromEnvironment("processes and resources");
  for (let round = 0; round < 2000; round++) {
    const { process, linux } = fullConfig();
    outcome(() => parseOciProcess(JSON.stringify(mutateValue(random, process)), "process.json"));
    outcome(() => parseOciResources(JSON.stringify(mutateValue(random, linux?.resources)), "resources.json"));
  }
});

test("state files mutated as text and by value are read or refused, never a crash", () => {
  const random = Random.fromEnvironment("state files");
  const root = mkdtempSync(join(tmpdir(), "lighter-fuzz-state-"));
  const fields = { bundle: "/b", rootfs: "/b/rootfs", cgroupsPath: "/a", systemdCgroup: false, rootless: false };
  try {
    const json = JSON.stringify(fullConfig());
    const { directory, state } = createState(root, "one", fields, Buffer.from(json));
    const seen = new Set<string>();
    for (let round = 0; round < 1500; round++) {
      const byValue = () => JSON.stringify(mutateValue(random, { ...state, pid: process.pid }));
      const text = random.below(2) === 0 ? mutateText(random, JSON.stringify(state)) : byValue();
      writeFileSync(join(directory, "state.json"), text);
      writeFileSync(join(directory, "config.json"), random.below(4) === 0 ? mutateText(random, json) : json);
      seen.add(outcome(() => viewOf(openState(root, "one"))));
    }
    expect([...seen].sort()).toEqual(["refused", "taken"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
