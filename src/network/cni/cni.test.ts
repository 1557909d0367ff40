/** Networks by plugins: which are run, in which order, with what; and what is left when one fails. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniPlugins } from "../../../tests/support/cni-plugin.ts";
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
  cni = new Cni({
    configDirectory: plugins.configDirectory,
    binDirectories: [join(directory, "none"), plugins.binDirectory],
    cacheDirectory: join(directory, "cache"),
  });
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const attachment = (containerId = "one") => ({
  ...{ containerId, namespacePath: "/proc/self/ns/net", interfaceName: "eth0", args: { A: "1", B: "2" } },
  capabilities: { portMappings: [{ hostPort: 80 }], bandwidth: { ingressRate: 1 } },
});
const cached = () => readdirSync(join(directory, "cache"));
const refusal = (work: Promise<unknown>) => work.then(() => "", messageOf);

test("an attachment is made in order, each plugin with the result of the one before, and taken down in reverse", async () => {
  expect(await cni.add(attachment())).toEqual(["10.0.0.2", "fd00::2"]);
  await cni.check("one");
  await cni.remove(attachment());
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
  await cni.remove(attachment());
  expect(plugins.calls).toHaveLength(6);
});

test("a failed attachment is taken down; one that cannot be is kept for the next attempt, with its own configuration", async () => {
  writeFileSync(plugins.failurePath("second", "ADD"), "");
  expect(await refusal(cni.add(attachment()))).toBe(
    'plugin type="second" failed (add): second refuses: as it was told',
  );
  expect(plugins.about("one")).toEqual(["first ADD", "second ADD", "second DEL", "first DEL"]);
  expect(cached()).toEqual([]);
  rmSync(plugins.failurePath("second", "ADD"));
  await cni.add(attachment("two"));
  writeFileSync(plugins.failurePath("first", "DEL"), "");
  expect(await refusal(cni.remove({ containerId: "two", namespacePath: undefined }))).toContain("first refuses");
  expect(cached()).toEqual(["two"]);
  rmSync(plugins.failurePath("first", "DEL"));
  plugins.configure([{ type: "other" }]);
  await cni.remove({ containerId: "two", namespacePath: undefined });
  expect(plugins.about("two").slice(2)).toEqual(["second DEL", "first DEL", "second DEL", "first DEL"]);
  expect(plugins.calls.at(-1)!.namespace).toBe("");
  expect(cached()).toEqual([]);
});

test("what is left of containers that are gone is collected, and plugins are told who lives", async () => {
  await cni.add(attachment("gone"));
  await cni.add(attachment("here"));
  await cni.collectGarbage(new Set(["here"]));
  expect(plugins.about("gone").slice(2)).toEqual(["second DEL", "first DEL"]);
  expect(cached()).toEqual(["here"]);
  const told = plugins.calls.filter(({ command }) => command === "GC");
  expect(told.map(({ plugin }) => plugin)).toEqual(["first", "second"]);
  expect(told[0]!.config["cni.dev/valid-attachments"]).toEqual([{ containerID: "here", ifname: "eth0" }]);
});

test("the network is ready when there is a configuration, and no plugin says otherwise", async () => {
  expect(await cni.problem()).toBeUndefined();
  writeFileSync(plugins.failurePath("second", "STATUS"), "");
  expect(await cni.problem()).toContain("second refuses");
  plugins.configure([{ type: "second" }], { cniVersion: "1.0.0" }); // which knows no such question
  expect(await cni.problem()).toBeUndefined();
  rmSync(join(plugins.configDirectory, "10-pods.conflist"));
  expect(await cni.problem()).toContain("cni plugin not initialized");
  expect(await refusal(cni.add(attachment()))).toContain("cni plugin not initialized");
  plugins.configure([{ type: "first" }, { type: "missing" }]);
  expect(await refusal(cni.add(attachment()))).toContain('failed to find plugin "missing" in path');
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
