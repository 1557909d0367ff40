import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineLabels } from "./machine-flags.ts";

const NONE = {
  "boot-after": [],
  "boot-delay": 0,
  "boot-order": 0,
  credential: [],
  "cloud-init": [],
  nesting: false,
  view: "",
};

const labels = (flags: Partial<Parameters<typeof machineLabels>[0]>, isMachine = true) =>
  machineLabels({ ...NONE, ...flags }, isMachine).map((text) => text.replace("io.lighter.machine.", ""));

function inDirectory(run: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "lighter-machine-flags-"));
  try {
    run(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a place in the host's boot is labels", () => {
  expect(labels({ "boot-after": ["db", "cache"], "boot-delay": 5, "boot-order": -1 })).toEqual([
    "boot.after=db,cache",
    "boot.delay=5",
    "boot.order=-1",
  ]);
  expect(() => labels({ "boot-order": 1 }, false)).toThrow("are for machines");
});

test("a credential is a text, or a file of any bytes", () => {
  inDirectory((directory) => {
    writeFileSync(join(directory, "key"), new Uint8Array([0, 255, 10]));
    expect(labels({ credential: ["a.b=c=d\n", `k=@${directory}/key`] })).toEqual([
      "credential.a.b=c=d\n",
      "credential-binary.k=AP8K",
    ]);
    expect(() => labels({ credential: [`k=@${directory}/none`] })).toThrow(/^--credential: open .*no such file/);
  });
  for (const text of ["a", "", "=b"]) expect(() => labels({ credential: [text] })).toThrow(/must be name=value/);
});

test("cloud-init's data is a file, a file of a part, or a directory of parts", () => {
  inDirectory((directory) => {
    expect(() => labels({ "cloud-init": [directory] })).toThrow(/has none of user-data/);
    writeFileSync(join(directory, "user-data"), "#cloud-config\n");
    writeFileSync(join(directory, "meta-data"), "instance-id: a");
    writeFileSync(join(directory, "binary"), new Uint8Array([255]));
    const user = "cloud-init.user-data=#cloud-config\n";
    expect(labels({ "cloud-init": [`${directory}/user-data`] })).toEqual([user]);
    expect(labels({ "cloud-init": [`vendor-data=${directory}/user-data`] })).toEqual([user.replace("user", "vendor")]);
    expect(labels({ "cloud-init": [directory] })).toEqual([user, "cloud-init.meta-data=instance-id: a"]);
    expect(() => labels({ "cloud-init": [`${directory}/binary`] })).toThrow(/is not text/);
    expect(() => labels({ "cloud-init": ["part=x"] })).toThrow(/open part=x: no such file/);
  });
});

test("a machine for engines is one by a label", () => {
  expect(labels({ nesting: true })).toEqual(["nesting=true"]);
});

test("flags for machines are refused for others", () => {
  expect(() => labels({ nesting: true }, false)).toThrow("--nesting is for machines (--runtime machine)");
  expect(labels({}, false)).toEqual([]);
  expect(() => labels({ credential: ["a=b"] }, false)).toThrow("--credential is for machines (--runtime machine)");
  expect(() => labels({ "cloud-init": ["x"] }, false)).toThrow("--cloud-init is for machines");
});

test("a view is for any container", () => {
  expect(labels({ view: "own" }, false)).toEqual(["io.lighter.view=own"]);
  expect(() => labels({ view: "mine" })).toThrow('--view: must be "own" or "host"');
});
