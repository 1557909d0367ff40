import { expect, test } from "bun:test";
import type { ExecOp } from "./exec-op.ts";
import type { Vertex } from "./llb.ts";
import { type PlanOptions, planBuild } from "./plan.ts";

const OPTIONS: PlanOptions = {
  ...{ buildArgs: new Map(), labels: {}, target: "", network: "default", entitlements: new Set() },
  settings: { extraHosts: [], ulimits: [], cgroupParent: "", shmBytes: 0 },
  platform: { os: "linux", architecture: "amd64" },
  resolveImage: async (reference: string) => ({ config: { Env: ["PATH=/bin"], WorkingDir: "/w" }, reference }),
};

async function planned(
  run: string,
  options: Partial<PlanOptions> = {},
  before = "",
): Promise<{ op: ExecOp; vertex: Vertex; createdBy: string }> {
  const { stages } = await planBuild(`FROM base AS other\nFROM base\n${before}\nRUN ${run}`, {
    ...OPTIONS,
    ...options,
  });
  const { vertex, createdBy } = stages.at(-1)!.steps.at(-1)!;
  return { op: vertex!.op as ExecOp, vertex: vertex!, createdBy };
}

test("a heredoc that is all of a RUN is the shell's script", async () => {
  expect((await planned("<<EOF\necho a\necho $b\nEOF")).op.args).toEqual(["/bin/sh", "-c", "echo a\necho $b\n"]);
  expect((await planned("<<-EOF\n\techo a\nEOF")).op.args).toEqual(["/bin/sh", "-c", "echo a\n"]);
});

test("a heredoc that begins with #! is a program, beside the root file system", async () => {
  const { op, vertex } = await planned("<<'run it'\n#!/bin/awk -f\nBEGIN { print $1 }\nrun it");
  expect(op.args).toEqual(["/bin/sh", "-c", "/dev/pipes/run it"]);
  expect(op.mounts).toEqual([{ type: "bind", target: "/dev/pipes", input: 1, source: "/", readOnly: true }]);
  const files = [{ name: "run it", content: "#!/bin/awk -f\nBEGIN { print $1 }\n" }];
  expect(vertex.inputs[1]!.op).toEqual({ kind: "files", files, mode: 0o755 });
});

test("heredocs in a command are left to the shell", async () => {
  const { op } = await planned("cat <<A 3<<B > /x\none\nA\ntwo\nB");
  expect(op.args).toEqual(["/bin/sh", "-c", "cat <<A 3<<B > /x\none\nA\ntwo\nB"]);
});

test("SHELL runs heredocs, too", async () => {
  const { op } = await planned("<<EOF\nx\nEOF", {}, 'SHELL ["/bin/bash", "-eo", "pipefail", "-c"]');
  expect(op.args).toEqual(["/bin/bash", "-eo", "pipefail", "-c", "x\n"]);
});

const OWNER = { uid: 0, gid: 0 };

test.each([
  ["type=bind,target=x", { type: "bind", target: "/w/x", input: 1, source: "/", readOnly: true }],
  ["from=other,source=a,target=/x,rw", { type: "bind", target: "/x", input: 1, source: "/a", readOnly: false }],
  [
    "type=cache,target=/root/.cache/",
    {
      ...{ type: "cache", target: "/root/.cache", id: "/root/.cache/", sharing: "shared", readOnly: false },
      ...{ ...OWNER, mode: 0o755 },
    },
  ],
  [
    "type=cache,target=/c,id=i,sharing=locked,mode=0700,uid=5,gid=6,ro",
    { type: "cache", target: "/c", id: "i", sharing: "locked", readOnly: true, uid: 5, gid: 6, mode: 0o700 },
  ],
  ["type=tmpfs,target=/t,size=1m", { type: "tmpfs", target: "/t", sizeBytes: 1024 * 1024, readOnly: false }],
  ["type=secret,id=a", { type: "secret", id: "a", target: "/run/secrets/a", optional: true, ...OWNER, mode: 0o400 }],
  [
    "type=secret,target=/etc/key,required,mode=0440,gid=7",
    { type: "secret", id: "key", target: "/etc/key", optional: false, uid: 0, gid: 7, mode: 0o440 },
  ],
  [
    "type=ssh",
    { type: "ssh", id: "default", target: "/run/buildkit/ssh_agent.0", optional: true, ...OWNER, mode: 0o600 },
  ],
])("RUN --mount=%s", async (text, mount) => {
  expect((await planned(`--mount=${text} x`)).op.mounts).toEqual([mount] as ExecOp["mounts"]);
});

test("a secret may be in a variable alone", async () => {
  const { op } = await planned("--mount=type=secret,id=a,env=TOKEN x");
  expect(op).toMatchObject({ mounts: [], secretEnv: [{ id: "a", name: "TOKEN", optional: true }] });
});

test("a mount from a stage makes that stage needed, and is an input", async () => {
  const { vertex } = await planned("--mount=from=other,target=/x x");
  expect(vertex.inputs.map(({ name }) => name)).toEqual(["FROM base", "FROM base"]);
});

test("a proxy is no part of what a command is, unless the Dockerfile declares it", async () => {
  const buildArgs = new Map([["HTTP_PROXY", "http://a"]]);
  expect((await planned("x", { buildArgs })).op).toMatchObject({
    proxyEnv: ["HTTP_PROXY=http://a"],
    env: ["PATH=/bin"],
  });
  const declared = await planned("x", { buildArgs }, "ARG HTTP_PROXY");
  expect(declared.op).toMatchObject({ proxyEnv: [], env: ["HTTP_PROXY=http://a", "PATH=/bin"] });
});

test.each([
  ["--security=insecure x", "security.insecure is not allowed"],
  ["--device=vendor.com/a=b x", "RUN --device needs BuildKit, which is not supported yet"],
  ["--mount=type=tmpfs,target=/ x", 'invalid mount target "/"'],
])("RUN %s is refused", async (run, message) => {
  await expect(planned(run)).rejects.toThrow(message);
});

test("what the build allows is not refused", async () => {
  const { op } = await planned("--security=insecure x", { entitlements: new Set(["security.insecure"]) });
  expect(op.security).toBe("insecure");
});
