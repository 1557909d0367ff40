/** What the dashboard shows of a container, on the kernel: its anatomy, its files, and the rules that serve its network. */
import { afterAll, beforeAll, expect } from "bun:test";
import type { Anatomy } from "../../src/spec/anatomy.ts";
import type { NetworkRules } from "../../src/spec/network-rules.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot, rooted } from "../support/stage.ts";

let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

const sleeping = (HostConfig: object = {}) => ({ Cmd: ["sleep", "100000"], HostConfig: { ...hostUsr, ...HostConfig } });

async function anatomyOf(id: string): Promise<Anatomy> {
  const { status, json } = await daemon.request("GET", `/lighter/containers/${id}/anatomy`);
  expect(status).toBe(200);
  return json;
}

rooted("an anatomy tells limits, what is shared, and what the filter refuses", async () => {
  const first = await daemon.run(sleeping({ Memory: 64 * 1024 * 1024, PidsLimit: 50 }), "first");
  const shareable = await daemon.run(sleeping({ IpcMode: "shareable" }), "shareable");
  const joined = await daemon.run(sleeping({ IpcMode: `container:${shareable}` }));
  const { namespaces, cgroups, seccomp, seccompCalls, mounts } = await anatomyOf(first);
  expect(namespaces.find(({ type }) => type === "pid")).toMatchObject({ sharedWithHost: false, sharedWith: [] });
  expect(namespaces.find(({ type }) => type === "user")).toMatchObject({ sharedWithHost: true });
  const values = new Map(cgroups.flatMap((each) => each.values.map(({ file, value }) => [file, value])));
  expect(values.get("memory.max") ?? values.get("memory.limit_in_bytes")).toBe(String(64 * 1024 * 1024));
  expect(values.get("pids.max")).toBe("50");
  expect(Number(values.get("pids.current"))).toBeGreaterThan(0);
  expect(seccomp).toBe("filter");
  const callsOf = (action: string) => seccompCalls.find((each) => each.action === action)?.calls ?? [];
  expect(callsOf("allow")).toContain("read");
  expect(callsOf("errno EPERM")).toContain("mount");
  expect(mounts.find(({ target }) => target === "/")!.type).toBe("overlay");
  const ipc = (await anatomyOf(joined)).namespaces.find(({ type }) => type === "ipc")!;
  expect(ipc.sharedWith.map(({ name }) => name)).toEqual(["shareable"]);
  const free = await daemon.run(sleeping({ SecurityOpt: ["seccomp=unconfined"] }));
  expect(await anatomyOf(free)).toMatchObject({ seccomp: "none", seccompCalls: [] });
});

rooted("a directory is listed whether its container runs or not, and nothing outside of it", async () => {
  const script =
    "mkdir -p /d/sub && echo hello >/d/file && ln -s / /d/link && ln -s ../../../etc /d/up; exec sleep 100000";
  const id = await daemon.run({ ...sleeping(), Cmd: ["sh", "-c", script] });
  const list = (path: string) =>
    daemon.request("GET", `/lighter/containers/${id}/files?path=${encodeURIComponent(path)}`);
  const namesIn = async (path: string) =>
    (await list(path)).json.Files.map(({ Name }: { Name: string }) => Name) as string[];
  await eventually(async () => expect(await namesIn("/d")).toEqual(["file", "link", "sub", "up"]));
  const look = async () => {
    const { json } = await list("/d");
    expect(json.IsComplete).toBe(true);
    expect(json.Files[0]).toMatchObject({ Name: "file", Size: 6, Mode: 0o644 });
    expect(json.Files[1]).toMatchObject({ Name: "link", LinkTarget: "/" });
    expect(json.Files[2].Mode).toBe(2 ** 31 + 0o755);
    expect(await namesIn("/d/up")).toContain("passwd"); // its own /etc, not the host's
    expect(await namesIn("/d/up")).not.toContain("fstab");
  };
  await look();
  expect(await list("/nowhere")).toMatchObject({ status: 404 });
  expect((await list("/d/file")).status).toBeGreaterThanOrEqual(400);
  expect((await list("/proc")).status).toBe(404);
  expect((await list("")).status).toBe(400);
  await daemon.request("POST", `/containers/${id}/kill`);
  await (await daemon.wait(id, "not-running")).answer;
  await look();
});

rooted("the rules of a network are those that the kernel has", async () => {
  await daemon.request("POST", "/networks/create", { Name: "front", Driver: "bridge" });
  const before: NetworkRules = (await daemon.request("GET", "/lighter/networks/front/rules")).json;
  expect(before.rules.map(({ set }) => set)).toContain("bridges");
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
  const settings = { ...sleeping({ NetworkMode: "front", PortBindings }), ExposedPorts: { "80/tcp": {} } };
  const id = await daemon.run(settings);
  const { json } = await daemon.request("GET", `/containers/${id}/json`);
  const address = json.NetworkSettings.Networks.front.IPAddress;
  const { table, rules }: NetworkRules = (await daemon.request("GET", "/lighter/networks/front/rules")).json;
  expect(rules.filter((rule) => rule.address === address).map(({ set, element }) => [set, element])).toContainEqual([
    "ports4",
    `tcp . 8080 : ${address} . 80`,
  ]);
  if (Bun.which("nft") === null) return;
  const [family = "", name = ""] = table.split(" ");
  const listed = daemon.network.run("nft", "-n", "list", "table", family, name);
  expect(listed).toMatch(new RegExp(`\\b(6|tcp) \\. 8080 : ${address} \\. 80\\b`));
  expect((await daemon.request("GET", "/lighter/networks/none/rules")).json).toEqual({ table: "", rules: [] });
});
