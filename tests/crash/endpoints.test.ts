// needs: ip nft
/** `kill -9` around containers in networks: of the daemon at each write, of a container's init, of its supervisor. */
import { afterEach, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { errnoOf } from "../../src/base/errors.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { strideOf } from "../support/sample.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon | undefined;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
  daemon = undefined;
});

const SUBNETS = { front: "10.77.0.0/24", back: "10.78.0.0/24" };
const CONTAINER = {
  Cmd: ["/bin/sleep", "1000"],
  HostConfig: { Binds: hostUsr.Binds, NetworkMode: "front", PortBindings: { "80/tcp": [{ HostPort: "8080" }] } },
};

class Crashed extends Error {}

/** An answer that is no error, or `Crashed` if the daemon died over it. */
async function ask(target: TestDaemon, method: string, path: string, body?: object): Promise<void> {
  const answer = await target.request(method, path, body).catch(async () => {
    await target.ended();
    throw new Crashed();
  });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
}

/** Every write that networks of containers lead to. */
async function tell(target: TestDaemon): Promise<void> {
  const networks = Object.entries(SUBNETS);
  for (const [Name, Subnet] of networks)
    await ask(target, "POST", "/networks/create", { Name, IPAM: { Config: [{ Subnet }] } });
  await ask(target, "POST", "/containers/create?name=web", { Image: target.image, ...CONTAINER });
  await ask(target, "POST", "/containers/web/start");
  await ask(target, "POST", "/networks/back/connect", { Container: "web" });
  await ask(target, "POST", "/networks/front/disconnect", { Container: "web" });
  await ask(target, "POST", "/containers/web/kill");
  await ask(target, "POST", "/containers/web/start");
  const broken = { ...CONTAINER, Cmd: ["/nonesuch"], HostConfig: { ...CONTAINER.HostConfig, PortBindings: {} } };
  await ask(target, "POST", "/containers/create?name=broken", { Image: target.image, ...broken });
  await ask(target, "POST", "/containers/broken/start").catch((error: unknown) => {
    if (error instanceof Crashed) throw error;
  });
  await ask(target, "DELETE", "/containers/web?force=1");
  await ask(target, "DELETE", "/containers/broken");
  for (const [name] of networks) await ask(target, "DELETE", `/networks/${name}`);
}

/** Interfaces of a process but loopback: names and IPv4 addresses. */
function interfacesOf(target: TestDaemon, pid: number): Record<string, string[]> {
  const text = target.network.run("nsenter", `--net=/proc/${pid}/ns/net`, "ip", "-j", "addr");
  const links = JSON.parse(text) as { ifname: string; addr_info: { family: string; local: string }[] }[];
  const found = links.filter(({ ifname }) => ifname !== "lo");
  return Object.fromEntries(
    found.map(({ ifname, addr_info }) => [
      ifname,
      addr_info.filter(({ family }) => family === "inet").map(({ local }) => local),
    ]),
  );
}

interface Seen {
  Id: string;
  State: { Running: boolean; Pid: number };
  NetworkSettings: {
    Networks: Record<string, { IPAddress: string }>;
    Ports: Record<string, { HostPort: string }[] | null>;
  };
}

/** What the daemon says of its containers is what the kernel has: interfaces, rules, bound ports; and nothing beyond. */
async function check(target: TestDaemon): Promise<void> {
  const { json: list } = await target.request("GET", "/containers/json?all=1");
  let [ends, published] = [0, 0];
  for (const { Id } of list) {
    const { State, NetworkSettings } = (await target.inspect(Id)) as Seen;
    const said = Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
    if (!State.Running) {
      expect(said.filter((address) => address !== "")).toEqual([]);
      expect(NetworkSettings.Ports).toEqual({});
      continue;
    }
    const inside = Object.values(interfacesOf(target, State.Pid)).flat();
    expect(inside.sort()).toEqual(said.sort());
    ends += inside.length;
    published += (NetworkSettings.Ports["80/tcp"] ?? []).length;
  }
  expect(target.network.links().filter((name) => name.startsWith("veth")).length).toBe(ends);
  expect(publishedPorts(target)).toBe(published);
  expect(heldPorts(target)).toBe(published);
}

/** In our tables. */
function publishedPorts(target: TestDaemon): number {
  return target.network.run("nft", "list", "ruleset").match(/\b8080 : /g)?.length ?? 0;
}

/** Held by the daemon: nobody else gets it. 0 or 1. */
function heldPorts(target: TestDaemon): number {
  const script = 'Bun.listen({ hostname: "0.0.0.0", port: 8080, socket: { data() {} } }).stop()';
  const [command = "", ...args] = target.network.inside(process.execPath, "-e", script);
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) expect(stderr).toContain("EADDRINUSE");
  return status === 0 ? 0 : 1;
}

/** Removes everything; no link of it is left but the bridge of the default network, if there is one. */
async function removeAll(target: TestDaemon): Promise<void> {
  for (const { Id } of (await target.request("GET", "/containers/json?all=1")).json)
    expect((await target.request("DELETE", `/containers/${Id}?force=1`)).status).toBe(204);
  for (const { Name } of (await target.request("GET", "/networks")).json)
    if (Name in SUBNETS) expect((await target.request("DELETE", `/networks/${Name}`)).status).toBe(204);
  // A pair goes with its namespace, which the kernel takes down by itself.
  await until(() => target.network.links().every((name) => name.startsWith("lighter")), "the links are gone");
  await check(target);
}

/** Of the write points, of which all take minutes. */
const STRIDE = strideOf({ here: 3, emulated: 7 });

rooted(
  "kill -9 at each write point: the next daemon's networks are what the kernel has, and can be removed",
  async () => {
    const target = await TestDaemon.start();
    daemon = target;
    for (let crashAt = 1; ; crashAt += STRIDE) {
      await target.kill();
      target.log = "";
      await target.launch({ LIGHTER_TEST_CRASH_AT: String(crashAt) });
      try {
        await tell(target);
        await removeAll(target);
      } catch (error) {
        if (!(error instanceof Crashed) && !["ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(errnoOf(error)))
          throw error;
        await target.ended();
      }
      if (target.isAlive) {
        expect(crashAt).toBeGreaterThan(25);
        return;
      }
      expect(target.log).toContain("crash at write point");
      await target.launch();
      await eventually(() => check(target)); // what was left is put right
      await removeAll(target);
    }
  },
  600_000,
);

rooted("a container whose init or supervisor is killed gives back its addresses, ports and links", async () => {
  const target = await TestDaemon.start();
  daemon = target;
  for (const [Name, Subnet] of Object.entries(SUBNETS))
    await target.request("POST", "/networks/create", { Name, IPAM: { Config: [{ Subnet }] } });
  for (const victim of ["init", "supervisor"]) {
    const id = await target.run(CONTAINER);
    const { State, NetworkSettings } = (await target.inspect(id)) as Seen;
    expect(NetworkSettings.Networks.front!.IPAddress).toBe("10.77.0.2");
    await check(target);
    const wait = await target.wait(id);
    const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${State.Pid}/status`, "utf8"))![1];
    process.kill(victim === "init" ? State.Pid : Number(parent), "SIGKILL");
    expect(await wait.answer).toEqual({ StatusCode: 137 });
    await until(() => target.network.links().every((name) => !name.startsWith("veth")), "the pair is gone");
    await check(target);
    expect((await target.request("DELETE", `/containers/${id}`)).status).toBe(204);
  }
});

rooted(
  "a container that ends while there is no daemon has given back everything when the next one is there",
  async () => {
    const target = await TestDaemon.start();
    daemon = target;
    await target.request("POST", "/networks/create", { Name: "front", IPAM: { Config: [{ Subnet: SUBNETS.front }] } });
    const [stays, ends] = [
      await target.run({ ...CONTAINER }),
      await target.run({ ...CONTAINER, HostConfig: { ...CONTAINER.HostConfig, PortBindings: {} } }),
    ];
    const { Pid } = (await target.inspect(ends)).State;
    await target.kill();
    expect(publishedPorts(target)).toBe(1); // as long as it runs
    process.kill(Pid, "SIGKILL");
    await target.launch();
    await check(target);
    expect((await target.inspect(stays)).NetworkSettings.Networks.front.IPAddress).toBe("10.77.0.2");
    const next = await target.run({
      Cmd: ["/bin/sleep", "1000"],
      HostConfig: { Binds: hostUsr.Binds, NetworkMode: "front" },
    });
    expect((await target.inspect(next)).NetworkSettings.Networks.front.IPAddress).toBe("10.77.0.3");
    await check(target);
  },
);
