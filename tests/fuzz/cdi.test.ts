/** Specs of devices, broken at random: each is a spec whose edits can be made, or an error in words. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { injectEdits } from "../../src/engine/cdi/inject.ts";
import { CdiRegistry } from "../../src/engine/cdi/registry.ts";
import { parseCdiSpec } from "../../src/engine/cdi/spec.ts";
import { mutateText, mutateValue } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

const SPEC = {
  cdiVersion: "0.8.0",
  kind: "vendor.com/class",
  annotations: { a: "b" },
  devices: [
    { name: "one", annotations: {}, containerEdits: { env: ["A=1"], additionalGids: [1, 2] } },
    {
      name: "all",
      containerEdits: {
        deviceNodes: [{ path: "/dev/x", hostPath: "/dev/y", type: "c", major: 1, minor: 3, permissions: "rw", uid: 1 }],
        mounts: [{ hostPath: "/a", containerPath: "/b/../c", type: "bind", options: ["ro", "bind"] }],
      },
    },
  ],
  containerEdits: {
    hooks: [{ hookName: "createContainer", path: "/x", args: ["x", "y"], env: ["B=2"], timeout: 5 }],
    intelRdt: { closID: "x", enableCMT: true },
  },
};
const PLAIN = { ociVersion: "1.2.0", process: { cwd: "/", user: { uid: 0, gid: 0 } }, mounts: [], linux: {} };
const NODE = { path: "/dev/y", type: "c" as const, major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 };

function injectAll(document: unknown): void {
  const { edits, devices } = parseCdiSpec(document);
  const config = injectEdits(PLAIN, [edits, ...devices.values()], { device: () => NODE }, false);
  for (const { path } of config.linux?.devices ?? []) expect(path).toStartWith("/");
  for (const { destination } of config.mounts ?? []) expect(destination).toStartWith("/");
}

test("any document is a spec, or is refused by an error that says why", () => {
  const random = Random.fromEnvironment("CDI specs");
  let accepted = 0;
  for (let round = 0; round < 4000; round++)
    try {
      injectAll(mutateValue(random, random.below(3) === 0 ? mutateValue(random, SPEC) : SPEC));
      accepted++;
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
    }
  expect(accepted).toBeGreaterThan(20);
});

test("any file is a spec, or a problem that is told, as JSON and as YAML", () => {
  const random = Random.fromEnvironment("CDI files");
  const directory = mkdtempSync(join(tmpdir(), "lighter-cdi-fuzz-"));
  try {
    const [json, yaml] = [JSON.stringify(SPEC), Bun.YAML.stringify(SPEC, null, 2)];
    for (let round = 0; round < 500; round++) {
      writeFileSync(join(directory, "a.json"), mutateText(random, json));
      writeFileSync(join(directory, "b.yaml"), mutateText(random, yaml));
      const { devices, problems } = new CdiRegistry([directory]).list();
      for (const name of devices) expect(name).toMatch(/^\S+\/\S+=\S+$/);
      for (const problem of problems.values()) expect(problem).not.toBe("");
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
