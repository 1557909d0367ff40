// needs: ip nft python3
import { expect } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** A daemon that needs no rules, or whose kernel can have none. */

const rooted = testIf(isRoot, "needs root");
const withoutNetfilter = ["python3", join(import.meta.dirname, "../support/without-netfilter.py")];

rooted("where the kernel has no netfilter a daemon runs, and refuses bridges by name", async () => {
  await using daemon = await TestDaemon.start({ wrapper: withoutNetfilter });
  const refusal = { status: 501, json: { message: expect.stringContaining("there are no bridges without nftables") } };
  expect(await daemon.request("POST", "/networks/create", { Name: "net" })).toMatchObject(refusal);
  expect((await daemon.request("GET", "/networks/net")).status).toBe(404);
  const id = await daemon.create({ Cmd: ["/bin/true"], HostConfig: { ...hostUsr, NetworkMode: "bridge" } });
  expect(await daemon.request("POST", `/containers/${id}/start`)).toMatchObject(refusal);
  expect(daemon.network.links()).toEqual([]);
  await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr }, "alone");
  await daemon.kill();
  await daemon.launch();
  expect((await daemon.request("GET", "/containers/alone/json")).json.State.Running).toBe(true);
  expect(daemon.log).not.toContain("error");
});

rooted("where the settings want no rules, there are bridges without netfilter, too", async () => {
  const flags = ["--iptables=false", "--ip6tables=false"];
  await using daemon = await TestDaemon.start({ wrapper: withoutNetfilter, flags });
  const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: { ...hostUsr, NetworkMode: "bridge" } });
  const { NetworkSettings } = (await daemon.request("GET", `/containers/${id}/json`)).json;
  expect(NetworkSettings.Networks.bridge.IPAddress).toBe("172.17.0.2");
});

/** What nft(8) sees of changes in a namespace. */
class NftMonitor implements AsyncDisposable {
  readonly #network: NetworkNamespace;
  readonly #process;
  #seen = "";
  #marks = 0;

  private constructor(network: NetworkNamespace) {
    this.#network = network;
    const [command = "", ...args] = network.inside("stdbuf", "-oL", "nft", "monitor");
    this.#process = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#process.stdout.on("data", (chunk) => {
      this.#seen += String(chunk);
    });
  }

  static async open(network: NetworkNamespace): Promise<NftMonitor> {
    const monitor = new NftMonitor(network);
    // Until it listens, a change is not seen.
    await eventually(() => {
      network.run("nft", "add table ip before; delete table ip before");
      expect(monitor.#seen).toContain("before");
    });
    return monitor;
  }

  /** Changes since the last call. */
  async changes(): Promise<string[]> {
    const mark = `mark-${this.#marks++}`;
    this.#network.run("nft", `add table ip ${mark}`);
    await eventually(() => expect(this.#seen).toContain(`${mark}\n`));
    const lines = this.#seen.slice(0, this.#seen.indexOf(`add table ip ${mark}`)).split("\n");
    this.#seen = "";
    return lines.filter((line) => line !== "" && !/^#|ip (before|mark-\d+)$/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#process, "close");
    this.#process.kill();
    await closed;
  }
}

rooted("a daemon with nothing to do leaves nftables alone, but for a table that it had", async () => {
  await using daemon = await TestDaemon.start();
  // Where we turned this on, there are rules for others from then on.
  daemon.network.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward");
  await using monitor = await NftMonitor.open(daemon.network);
  const again = async () => {
    await daemon.kill();
    await daemon.launch();
  };
  await again();
  expect(await monitor.changes()).toEqual([]);
  await daemon.request("POST", "/networks/create", { Name: "net" });
  const [table] = /table inet lighter-\w+/.exec((await monitor.changes()).join("\n")) ?? [];
  expect(table).toBeDefined();
  await daemon.request("DELETE", "/networks/net");
  await monitor.changes();
  await again();
  expect((await monitor.changes()).filter((line) => line.includes("table inet"))).toEqual([`delete ${table}`]);
});
