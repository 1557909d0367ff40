// needs: ip bridge python3 busybox
/**
 * A container on a network with others that sends what it should not: it may make any frame (CAP_NET_RAW is Docker's default).
 * Each attack is also made where the defence was taken away by hand, and must succeed there.
 * There is no defence against lies by ARP, nor has Docker one: who must not tell them is not given NET_RAW.
 */
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { parseIpAddress } from "../../src/base/ip-address.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot, rooted } from "../support/stage.ts";

const PACKET_SOCKET = `${import.meta.dirname}/../support/packet-socket.py`;
let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start();
});
afterEach(async () => {
  if (!isRoot) return;
  const { json } = await daemon.request("GET", "/containers/json");
  for (const { Id } of json) await daemon.request("DELETE", `/containers/${Id}?force=1`);
  await daemon.request("POST", "/networks/prune");
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

interface Member {
  address: string;
  macAddress: string;
  /** The command in the container's network namespace. With a container's own rights in it, and no others that count. */
  inside(...argv: string[]): string[];
}

async function member(network: string): Promise<Member> {
  const id = await daemon.run({ Cmd: ["sleep", "1000"], HostConfig: { ...hostUsr, NetworkMode: network } });
  const { NetworkSettings, State } = await daemon.inspect(id);
  const { IPAddress, MacAddress } = NetworkSettings.Networks[network];
  const inside = (...argv: string[]) => ["nsenter", `--net=/proc/${State.Pid}/ns/net`, "--", ...argv];
  return { address: IPAddress, macAddress: MacAddress, inside };
}

function run(argv: readonly string[]): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { encoding: "utf8" });
  return { code: status, text: stdout + stderr };
}

const reaches = (from: Member, address: string) =>
  run(from.inside("busybox", "ping", "-c", "1", "-W", "1", address)).code === 0;

/** Sends the frames; resolves when they are sent. The result counts what came since: "from 02:…", "to 02:…". */
async function packets(from: Member, counted: string, frames: readonly Buffer[]): Promise<() => Promise<number>> {
  const argv = from.inside(
    "python3",
    PACKET_SOCKET,
    "eth0",
    ...counted.split(" "),
    ...frames.map((each) => each.toString("hex")),
  );
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("ready");
  return async () => {
    child.stdin.end();
    return Number((await lines.next()).value);
  };
}

const mac = (text: string) => Buffer.from(text.replaceAll(":", ""), "hex");
/** Of a protocol that nobody has: bridges learn from it all the same. (IEEE 802 local experimental) */
const frameFrom = (source: string) =>
  Buffer.concat([mac("ff:ff:ff:ff:ff:ff"), mac(source), Buffer.from("88b5", "hex"), Buffer.alloc(46)]);

rooted("frames with another container's address for a source do not lead its frames to their sender", async () => {
  await daemon.request("POST", "/networks/create", { Name: "lan" });
  const [victim, client, attacker] = [await member("lan"), await member("lan"), await member("lan")];
  const attack = async () => {
    const count = await packets(attacker, `to ${victim.macAddress}`, [frameFrom(victim.macAddress)]);
    return { reached: reaches(client, victim.address), overhears: (await count()) > 0 };
  };
  expect(reaches(client, victim.address)).toBe(true); // both know the other's address from now on
  expect(await attack()).toEqual({ reached: true, overhears: false });

  // A bridge that learns, as Docker's do.
  const ports = JSON.parse(daemon.network.run("bridge", "-j", "fdb", "show")) as { mac: string; ifname: string }[];
  const portOf = ({ macAddress }: Member) => ports.find((each) => each.mac === macAddress)!.ifname;
  daemon.network.run("bridge", "fdb", "del", victim.macAddress, "dev", portOf(victim), "master");
  daemon.network.run("bridge", "link", "set", "dev", portOf(attacker), "learning", "on");
  expect(await attack()).toEqual({ reached: false, overhears: true });
});

rooted("a container that says it is the router gets neither other containers' packets nor the host's", async () => {
  await daemon.request("POST", "/networks/create", { Name: "lan", EnableIPv6: true });
  const [client, attacker] = [await member("lan"), await member("lan")];
  const advertise = async () => {
    await (await packets(attacker, `to ${attacker.macAddress}`, [routerAdvertisement(attacker.macAddress)]))();
    expect(reaches(attacker, client.address)).toBe(true); // what was sent before has come
  };
  const ofRouters = (argv: readonly string[]) => run([...argv, "ip", "-6", "route", "show", "proto", "ra"]).text;
  await advertise();
  expect(ofRouters(client.inside())).toBe("");
  expect(ofRouters(daemon.network.inside())).toBe("");

  run(client.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra"));
  await advertise();
  await eventually(() => expect(ofRouters(client.inside())).toContain("default via fe80::bad dev eth0"));
});

rooted("in a network without icc not even a frame of one container comes to another", async () => {
  const Options = { "com.docker.network.bridge.enable_icc": "false" };
  await daemon.request("POST", "/networks/create", { Name: "apart", Options });
  await daemon.request("POST", "/networks/create", { Name: "lan" });
  for (const [network, expected] of [
    ["apart", 0],
    ["lan", 1],
  ] as const) {
    const [listener, attacker] = [await member(network), await member(network)];
    const heard = await packets(listener, "from 02:00:00:00:00:66", []);
    await (await packets(attacker, `to ${attacker.macAddress}`, [frameFrom("02:00:00:00:00:66")]))();
    const gateway = attacker.address.replace(/\.\d+$/, ".1");
    expect(reaches(attacker, gateway)).toBe(true); // what was sent before has come
    expect([network, await heard()]).toEqual([network, expected]);
  }
});

/** From fe80::bad to all nodes: a default route for half an hour. (RFC 4861 §4.2) */
function routerAdvertisement(source: string): Buffer {
  const message = Buffer.from([134, 0, 0, 0, 64, 0, 0x07, 0x08, ...Array<number>(8).fill(0)]);
  const addresses = Buffer.concat(["fe80::bad", "ff02::1"].map((address) => Buffer.from(parseIpAddress(address))));
  const header = Buffer.from([0x60, 0, 0, 0, 0, message.length, 58, 255]);
  message.writeUInt16BE(
    checksum(Buffer.concat([addresses, Buffer.from([0, 0, 0, message.length, 0, 0, 0, 58]), message])),
    2,
  );
  return Buffer.concat([mac("33:33:00:00:00:01"), mac(source), Buffer.from("86dd", "hex"), header, addresses, message]);
}

/** Of an even number of bytes. (RFC 1071) */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
