/** Networks by plugins: which are run, in which order, with what; and what is left when one fails. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniPlugins } from "../../../tests/support/cni-plugin.ts";
import { until } from "../../../tests/support/eventually.ts";
import { isAlive } from "../../../tests/support/stage.ts";
import { messageOf } from "../../base/errors.ts";
import { Cni } from "./cni.ts";
import { loadConfig, parseConfig } from "./config.ts";

let directory: string;
let plugins: CniPlugins;
let cni: Cni;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-cni-"));
  plugins = new CniPlugins(directory);
  plugins.add("first", ["10.0.0.1/24"]);
  plugins.add("second", ["10.0.0.2/24", "fd00::2/64"]);
  plugins.configure([
    { type: "first", mine: 1 },
    { type: "second", capabilities: { portMappings: true, bandwidth: false } },
  ]);
  cni = open();
});

function open(): Cni {
  return new Cni({
    configDirectory: plugins.configDirectory,
    binDirectories: [join(directory, "none"), plugins.binDirectory],
    cacheDirectory: join(directory, "cache"),
  });
}

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const attachment = (containerId = "one") => ({
  ...{ containerId, namespacePath: "/proc/self/ns/net", interfaceName: "eth0", args: { A: "1", B: "2" } },
  capabilities: { portMappings: [{ hostPort: 80 }], bandwidth: { ingressRate: 1 } },
});
const NEVER = new AbortController().signal;
const cached = () => readdirSync(join(directory, "cache"));
const refusal = (work: Promise<unknown>) => work.then(() => "", messageOf);

test("an attachment is made in order, each plugin with the result of the one before, and taken down in reverse", async () => {
  expect(await cni.add(attachment(), NEVER)).toEqual(["10.0.0.2", "fd00::2"]);
  await cni.check("one");
  await cni.remove("one");
  expect(plugins.about("one")).toEqual([
    ...["first ADD", "second ADD", "first CHECK", "second CHECK", "second DEL", "first DEL"],
  ]);
  const [first, second, , , last] = plugins.calls;
  expect(first).toMatchObject({ args: "A=1;B=2", config: { name: "pods", cniVersion: "1.1.0", mine: 1 } });
  expect(first!.namespace).toMatch(/^net:\[\d+\]$/);
  expect(first!.config.prevResult).toBeUndefined();
  expect(second!.config.prevResult.ips[1].address).toBe("10.0.0.1/24");
  expect(second!.config.runtimeConfig).toEqual({ portMappings: [{ hostPort: 80 }] });
  expect(second!.config.capabilities).toBeUndefined();
  expect(last!.config.prevResult.ips[1].address).toBe("10.0.0.2/24");
  expect(cached()).toEqual([]);
  await cni.remove("one");
  expect(plugins.calls).toHaveLength(6);
});

test("a failed attachment is taken down; one that cannot be is kept for the next attempt, with its own configuration", async () => {
  writeFileSync(plugins.failurePath("second", "ADD"), "");
  expect(await refusal(cni.add(attachment(), NEVER))).toBe(
    'plugin type="second" failed (add): second refuses: as it was told',
  );
  expect(plugins.about("one")).toEqual(["first ADD", "second ADD", "second DEL", "first DEL"]);
  expect(cached()).toEqual([]);
  rmSync(plugins.failurePath("second", "ADD"));
  await cni.add(attachment("two"), NEVER);
  writeFileSync(plugins.failurePath("first", "DEL"), "");
  expect(await refusal(cni.remove("two"))).toContain("first refuses");
  expect(cached()).toEqual(["two"]);
  rmSync(plugins.failurePath("first", "DEL"));
  plugins.configure([{ type: "other" }]);
  await open().remove("two"); // which knows no namespace of it
  expect(plugins.about("two").slice(2)).toEqual(["second DEL", "first DEL", "second DEL", "first DEL"]);
  expect(plugins.calls.at(-1)!.namespace).toBe("");
  expect(cached()).toEqual([]);
});

test("what is left of containers that are gone is collected, and plugins are told who lives", async () => {
  await cni.add(attachment("gone"), NEVER);
  await cni.add(attachment("here"), NEVER);
  await cni.takeOver(new Map([["here", undefined]]));
  expect(plugins.about("gone").slice(2)).toEqual(["second DEL", "first DEL"]);
  expect(cached()).toEqual(["here"]);
  const told = plugins.calls.filter(({ command }) => command === "GC");
  expect(told.map(({ plugin }) => plugin)).toEqual(["first", "second"]);
  expect(told[0]!.config["cni.dev/valid-attachments"]).toEqual([{ containerID: "here", ifname: "eth0" }]);
});

test("what is done about one container is done in turn: a removal ends an attachment, and follows it", async () => {
  writeFileSync(plugins.hangPath("second", "ADD"), "");
  const adding = refusal(cni.add(attachment(), NEVER));
  await until(() => plugins.calls.at(-1)?.plugin === "second", "it attaches");
  const { pid } = plugins.calls.at(-1)!;
  await Promise.all([cni.remove("one"), cni.remove("one")]);
  expect(await adding).toBe("container one is being detached");
  expect(isAlive(pid)).toBe(false);
  expect(plugins.about("one")).toEqual(["first ADD", "second ADD", "second DEL", "first DEL"]);
  expect([plugins.made, cached()]).toEqual([[], []]);
  rmSync(plugins.hangPath("second", "ADD"));
  await cni.add(attachment("two"), NEVER);
  writeFileSync(plugins.hangPath("second", "DEL"), "");
  const [removed, again] = [cni.remove("two"), cni.remove("two")];
  await until(() => plugins.calls.at(-1)?.command === "DEL", "it detaches");
  await cni.add(attachment("three"), NEVER); // who waits for nobody
  rmSync(plugins.hangPath("second", "DEL"));
  await Promise.all([removed, again]);
  expect(plugins.about("two").slice(2)).toEqual(["second DEL", "first DEL"]);
});

test("plugins that a daemon has left running are ended before the next one does anything about their container", async () => {
  writeFileSync(plugins.hangPath("first", "ADD"), "");
  const left = refusal(cni.add(attachment(), NEVER));
  await until(() => plugins.calls.length === 1, "it attaches");
  const { pid } = plugins.calls[0]!;
  const removing = open().remove("one");
  expect(await left).toContain("SIGKILL");
  await removing;
  expect(isAlive(pid)).toBe(false);
  const other = refusal(cni.add(attachment("other"), NEVER));
  await until(() => plugins.calls.at(-1)?.command === "ADD", "it attaches");
  await open().takeOver(new Map([["other", undefined]]));
  expect(await other).toContain("SIGKILL");
  expect([plugins.made, cached()]).toEqual([[], []]);
});

test("nothing is attached while garbage is collected, since its plugins know nothing of that", async () => {
  await cni.add(attachment("here"), NEVER);
  writeFileSync(plugins.hangPath("second", "GC"), "");
  const collected = cni.takeOver(new Map([["here", undefined]]));
  const added = cni.add(attachment("new"), NEVER);
  await until(() => plugins.calls.at(-1)?.command === "GC" && plugins.calls.at(-1)?.plugin === "second", "it collects");
  rmSync(plugins.hangPath("second", "GC"));
  await Promise.all([collected, added]);
  expect(plugins.calls.slice(2).map(({ plugin, command }) => `${plugin} ${command}`)).toEqual([
    ...["first GC", "second GC", "first ADD", "second ADD"],
  ]);
});

for (const [what, text, why] of [
  ["no address", '{"cniVersion": "1.1.0", "ips": []}', 'network "pods" gives no address'],
  ["something that is no address", '{"ips": [null, {"address": "10.0.0.300/24"}]}', 'address "10.0.0.300" is none'],
  ["nothing", "", 'network "pods" gives no address'],
  ["text", "panic: all is lost", "answers no JSON"],
  ["10 MB", `{"ips": "${"x".repeat(10_000_000)}"}`, "writes too much"],
] as const)
  test(`a plugin that answers with ${what} has failed, and what it has made is taken down`, async () => {
    writeFileSync(plugins.sayPath("second", "ADD"), text);
    expect(await refusal(cni.add(attachment(), NEVER))).toContain(why);
    expect(plugins.about("one")).toEqual(["first ADD", "second ADD", "second DEL", "first DEL"]);
    expect([plugins.made, cached()]).toEqual([[], []]);
  });

test("a client that goes ends its attachment", async () => {
  writeFileSync(plugins.hangPath("first", "ADD"), "");
  const client = new AbortController();
  const adding = refusal(cni.add(attachment(), client.signal));
  await until(() => plugins.calls.length === 1, "it attaches");
  client.abort(new Error("gone"));
  expect(await adding).toBe("gone");
  expect(isAlive(plugins.calls[0]!.pid)).toBe(false);
  expect(cached()).toEqual([]);
});

test("who asks while others are being answered gets their answer", async () => {
  writeFileSync(plugins.hangPath("first", "STATUS"), "");
  const asked = [cni.problem(), cni.problem()];
  await until(() => plugins.calls.length > 0, "it is asked");
  asked.push(cni.problem());
  rmSync(plugins.hangPath("first", "STATUS"));
  expect(await Promise.all(asked)).toEqual([undefined, undefined, undefined]);
  expect(plugins.calls.map(({ plugin }) => plugin)).toEqual(["first", "second"]);
});

test("the network is ready when there is a configuration, and no plugin says otherwise", async () => {
  expect(await cni.problem()).toBeUndefined();
  writeFileSync(plugins.failurePath("second", "STATUS"), "");
  expect(await cni.problem()).toContain("second refuses");
  plugins.configure([{ type: "second" }], { cniVersion: "1.0.0" }); // which knows no such question
  expect(await cni.problem()).toBeUndefined();
  rmSync(join(plugins.configDirectory, "10-pods.conflist"));
  expect(await cni.problem()).toContain("cni plugin not initialized");
  expect(await refusal(cni.add(attachment(), NEVER))).toContain("cni plugin not initialized");
  plugins.configure([{ type: "first" }, { type: "missing" }]);
  expect(await refusal(cni.add(attachment(), NEVER))).toContain('failed to find plugin "missing" in path');
  expect(plugins.about("one")).toEqual([]);
});

test("configurations: the first file counts, alone or in a list; what cannot be one is refused with its reason", () => {
  writeFileSync(
    join(plugins.configDirectory, "05-single.conf"),
    '{"name": "n", "cniVersion": "0.4.0", "type": "bridge"}',
  );
  expect(loadConfig(plugins.configDirectory)).toMatchObject({ name: "n", plugins: [{ type: "bridge" }] });
  writeFileSync(join(plugins.configDirectory, "01.conflist"), "{");
  expect(() => loadConfig(plugins.configDirectory)).toThrow(/^network configuration ".*01\.conflist": /);
  expect(loadConfig(join(directory, "none"))).toBeUndefined();
  const good = { name: "n", cniVersion: "1.0.0", plugins: [{ type: "a" }] };
  for (const [bad, why] of [
    [{ ...good, name: "../x" }, "name"],
    [{ ...good, cniVersion: "9.9.9" }, "version"],
    [{ ...good, plugins: [] }, "no plugins"],
    [{ ...good, plugins: [{ type: "../../bin/sh" }] }, "no type"],
    [{ ...good, plugins: [{ type: ".." }] }, "no type"],
    [[], "no JSON object"],
  ] as const)
    expect(() => parseConfig(bad)).toThrow(why);
});
