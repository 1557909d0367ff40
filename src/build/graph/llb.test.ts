import { expect, test } from "bun:test";
import type { ExecOp } from "./exec-op.ts";
import { encodeOp, keyOfOp, type Op } from "./llb.ts";

const PLAIN = {
  ...{ proxyEnv: [], security: "sandbox", mounts: [], secretEnv: [] },
  settings: { extraHosts: [], ulimits: [], cgroupParent: "", shmBytes: 0 },
} satisfies Partial<ExecOp>;

test("an operation is marshalled as LLB: inputs, then the operation's own message", () => {
  expect(encodeOp({ kind: "image", reference: "docker.io/library/a:1" }, []).toString("hex")).toBe(
    `1a260a24${Buffer.from("docker-image://docker.io/library/a:1").toString("hex")}`,
  );
  const exec: Op = { kind: "exec", args: ["/bin/true"], env: ["A=b"], cwd: "/", user: "", network: "none", ...PLAIN };
  // inputs[0].digest; meta {args, env, cwd}; mounts[0] {input 0, dest "/"}; network 2
  expect(encodeOp(exec, ["d"]).toString("hex")).toBe(
    "0a030a0164" + "121c" + "0a130a092f62696e2f747275651203413d621a012f" + "12031a012f" + "1802",
  );
});

test("an empty root file system is input -1", () => {
  const encoded = encodeOp({ kind: "mkdir", path: "/a" }, [""]).toString("hex");
  expect(encoded).toContain("08ffffffffffffffffff01"); // FileAction.input
});

const exec: ExecOp = { kind: "exec", args: ["x"], env: [], cwd: "/", user: "", network: "default", ...PLAIN };
const settings = PLAIN.settings;
const cache = { type: "cache", target: "/c", readOnly: false, sharing: "shared", mode: 0o755, uid: 0, gid: 0 } as const;

test.each([
  ["a proxy", { proxyEnv: ["HTTP_PROXY=http://a"] }],
  ["a proxy with a password", { proxyEnv: ["HTTP_PROXY=http://b:c@d"] }],
] as const)("the key of a command does not depend on %s", (_, other) => {
  expect(keyOfOp({ ...exec, ...other }, ["r"])).toBe(keyOfOp(exec, ["r"]));
});

test("the key of a command knows a host by its name, and a cache by its place", () => {
  const at = (ip: string, id: string) =>
    keyOfOp({ ...exec, settings: { ...settings, extraHosts: [{ host: "h", ip }] }, mounts: [{ ...cache, id }] }, ["r"]);
  expect(at("1.1.1.1", "a")).toBe(at("2.2.2.2", "b"));
  expect(at("1.1.1.1", "a")).not.toBe(keyOfOp(exec, ["r"]));
});

test.each([
  ["the network", { network: "none" }],
  ["the security", { security: "insecure" }],
  ["a variable", { env: ["A=b"] }],
  ["the user", { user: "u" }],
  ["the directory", { cwd: "/d" }],
  ["a host", { settings: { ...settings, extraHosts: [{ host: "h", ip: "1.1.1.1" }] } }],
  ["a ulimit", { settings: { ...settings, ulimits: [{ name: "nofile", soft: 1, hard: 2 }] } }],
  ["the parent of the cgroup", { settings: { ...settings, cgroupParent: "/p" } }],
  ["the size of /dev/shm", { settings: { ...settings, shmBytes: 1 } }],
  ["a secret's place", { secretEnv: [{ id: "s", name: "S", optional: true }] }],
  ["a tmpfs", { mounts: [{ type: "tmpfs", target: "/t", sizeBytes: 1, readOnly: false }] }],
] as [string, Partial<ExecOp>][])("the key of a command depends on %s", (_, other) => {
  expect(keyOfOp({ ...exec, ...other }, ["r"])).not.toBe(keyOfOp(exec, ["r"]));
});
