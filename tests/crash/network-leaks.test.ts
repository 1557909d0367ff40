// needs: ip nft python3 busybox
import { afterAll, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** What containers have of the network is gone with them: links, addresses, rules, connections, namespaces, fds. */

const hasConnections = existsSync("/proc/net/nf_conntrack");
const leaks = testIf(isRoot && hasConnections, isRoot ? "no list of connections here" : "needs root");
/** LIGHTER_TEST_CYCLES=1000 takes a minute. */
const CYCLES = Number(process.env.LIGHTER_TEST_CYCLES ?? 500);
const AT_ONCE = 4;
const KILLS = 10;
/** The kernel keeps the namespace of a connection that nobody closes for a minute. */
const LINGER_MS = 5000;

let daemon: TestDaemon;

beforeAll(async () => {
  if (!isRoot || !hasConnections) return;
  daemon = await TestDaemon.start();
  await daemon.request("POST", "/networks/create", { Name: "own", EnableIPv6: true });
  await times(20, cycle); // bridges and table are made; what is kept for the next start is there
  await eventually(() => expect(daemon.network.links().filter((name) => name.startsWith("veth"))).toEqual([]));
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

/** Binds a container to both networks, with ports of each protocol, and makes it talk through one of them. */
function body(number: number): object {
  const port = 20_000 + number;
  return {
    Cmd: ["sh", "-c", "exec busybox ping -c 1 -W 5 $(busybox ip route | busybox awk '/default/{print $3}')"],
    ExposedPorts: { "80/tcp": {}, "53/udp": {} },
    HostConfig: {
      ...hostUsr,
      NetworkMode: number % 2 === 0 ? "own" : "bridge",
      PortBindings: { "80/tcp": [{ HostPort: `${port}` }], "53/udp": [{ HostPort: `${port}` }] },
    },
  };
}

async function cycle(number: number): Promise<void> {
  const id = await daemon.run(body(number));
  const { json } = await daemon.request("POST", `/containers/${id}/wait`);
  const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
  await daemon.request("DELETE", `/containers/${id}`);
  if (json.StatusCode !== 0) throw new Error(`container ${number} ended with ${json.StatusCode}: ${text}`);
}

/** `act` for each number below `count`, so many at a time. */
async function times(count: number, act: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let number = next++; number < count; number = next++) await act(number);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Everything about networks that a container could leave, as the daemon's host has it. */
function seen() {
  const read = (...argv: string[]) => daemon.network.run(...argv);
  return {
    links: daemon.network.links(),
    addresses: read("ip", "-br", "address").replaceAll(/ +(UP|DOWN) +/g, " "),
    routes: read("ip", "route").replaceAll(" linkdown", ""),
    neighbours: JSON.parse(read("bridge", "-j", "fdb")).length,
    // nft lists the elements of a set in any order, and the first and the last look different.
    rules: read("nft", "list", "ruleset")
      .replaceAll(/[{},]|elements =/g, "")
      .split("\n")
      .map((line) => line.trim())
      .sort(),
    // Without what bridges say of themselves, which ends by itself.
    connections: read("cat", "/proc/net/nf_conntrack")
      .split("\n")
      .filter((line) => !line.includes("dst=224.0.0.22 ")),
  };
}

/** As soon as nothing of the containers is left; what differs if that does not come about. */
async function expectAsBefore(before: ReturnType<typeof seen>): Promise<void> {
  await eventually(() => expect(seen()).toEqual(before));
}

leaks(
  `${CYCLES} containers come and go, and nothing of them stays`,
  async () => {
    const fds = () => readdirSync(`/proc/${daemon.pid}/fd`).length;
    const before = seen();
    const fdsBefore = fds();
    await times(CYCLES, cycle);
    await expectAsBefore(before);
    await eventually(() => expect(fds()).toBeLessThanOrEqual(fdsBefore));
  },
  180_000,
);

leaks(
  `a daemon that is killed ${KILLS} times while containers come and go leaves nothing either`,
  async () => {
    const before = seen();
    for (let kill = 0; kill < KILLS; kill++) {
      const work = times(12, (number) => cycle(number)).catch(() => {}); // the daemon goes away under it
      await eventually(() => expect(seen().links.some((name) => name.startsWith("veth"))).toBe(true));
      await daemon.kill();
      await work;
      await daemon.launch();
      const { json } = await daemon.request("GET", "/containers/json?all=1");
      for (const { Id } of json) await daemon.request("DELETE", `/containers/${Id}?force=1`);
    }
    await times(2, cycle); // the last daemon has used both networks, too
    // A ping that left while no daemon was there is forgotten by the kernel, 30 s later.
    await eventually(() => expect(seen()).toEqual(before), 45_000);
  },
  160_000,
);

leaks(
  "a container whose first process is killed from outside gives everything back",
  async () => {
    const before = seen();
    const id = await daemon.run({ ...body(0), Cmd: ["sleep", "1000"] });
    const { json } = await daemon.request("GET", `/containers/${id}/json`);
    expect(json.NetworkSettings.Networks.own.IPAddress).not.toBe("");
    process.kill(json.State.Pid, "SIGKILL");
    await daemon.request("POST", `/containers/${id}/wait`);
    const { json: ended } = await daemon.request("GET", `/containers/${id}/json`);
    expect(ended.NetworkSettings.Networks.own.IPAddress).toBe("");
    await expectAsBefore(before);
    await daemon.request("DELETE", `/containers/${id}`);
  },
  60_000,
);

leaks(
  "a container that ends with a connection open answers no more in any of its networks",
  async () => {
    const { json: network } = await daemon.request("GET", "/networks/own");
    const gateway = network.IPAM.Config[0].Gateway;
    // Nobody reads: the kernel keeps what was sent, and with it the connection.
    const listen = "import socket; server = socket.create_server(('', 9999)); input()";
    const [command = "", ...args] = daemon.network.inside("python3", "-c", listen);
    const server = spawn(command, args, { stdio: ["pipe", "ignore", "inherit"] });
    try {
      await eventually(() => expect(daemon.network.run("ss", "-Hltn", "sport", "9999")).not.toBe(""));
      const id = await daemon.run({ ...body(0), Cmd: ["sh", "-c", `exec busybox nc ${gateway} 9999 < /dev/zero`] });
      await daemon.request("POST", "/networks/bridge/connect", { Container: id });
      const { json: container } = await daemon.request("GET", `/containers/${id}/json`);
      const unsent = () => spawnSync("nsenter", ["-t", `${container.State.Pid}`, "-n", "ss", "-Htn", "dport", "9999"]);
      await eventually(() => expect(Number(String(unsent().stdout).split(/ +/)[2])).toBeGreaterThan(100_000));
      await daemon.request("POST", `/containers/${id}/kill`);
      await daemon.request("DELETE", `/containers/${id}?force=1`);
      const ports = () => daemon.network.run("bridge", "link").split("\n").filter(Boolean);
      await eventually(() => expect(ports()).toEqual([]), LINGER_MS);
    } finally {
      server.kill("SIGKILL");
    }
  },
  60_000,
);

leaks(
  "a table that somebody flushed is there again at once",
  async () => {
    const id = await daemon.run({
      ...body(1),
      Cmd: ["sh", "-c", "mkdir /www; echo here > /www/index.html; exec busybox httpd -f -p 80 -h /www"],
    });
    const before = seen().rules;
    daemon.network.run("nft", "flush", "ruleset");
    await eventually(() => expect(seen().rules).toEqual(before));
    await eventually(() =>
      expect(daemon.network.run("busybox", "wget", "-qO-", "http://127.0.0.1:20001/")).toBe("here\n"),
    );
    await daemon.request("DELETE", `/containers/${id}?force=1`);
  },
  60_000,
);
