/** Links on a default network whose containers do not reach one another, with our daemon and with dockerd. */
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { whyNoDocker } from "./cli-support.ts";

const why = whyNoDocker();
let beside: BesideDocker;

beforeAll(async () => {
  if (why !== undefined) return;
  beside = await startBesideDocker("links", { networks: true, flags: ["--icc=false"] });
  const image = readFileSync(join(beside.docker.folder, "saved.tar"));
  await beside.ours.request("POST", "/images/load", image, { "Content-Type": "application/x-tar" });
}, 120_000);

afterAll(async () => {
  await beside?.stop();
}, 60_000);

const SERVER = "for port in 80 81; do while :; do echo $port | nc -l -p $port; done & done; wait";

/** What comes of asking, from one container to another, by port. */
async function reached(api: ApiClient, from: string, to: string, port: number): Promise<string> {
  const { IPAddress } = (await api.inspect(to)).NetworkSettings.Networks.bridge;
  const { json } = await api.request("POST", `/containers/${from}/exec`, {
    Cmd: ["/bin/sh", "-c", `nc -w 2 ${IPAddress} ${port} </dev/null`],
    AttachStdout: true,
    Tty: true,
  });
  const stream = await api.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
  return (await stream.untilEnd()).trim().startsWith(`${port}`) ? "yes" : "no";
}

testIf(why === undefined, why ?? "")(
  "who is linked to is reached at its exposed ports, by who links to it",
  async () => {
    const results = [];
    for (const api of [beside.ours, beside.theirs]) {
      api.image = "busybox";
      const run = (name: string, more: object = {}) =>
        api.run({ Cmd: ["/bin/sh", "-c", SERVER], StopTimeout: 0, ...more }, name);
      await run("db", { ExposedPorts: { "80/tcp": {} } });
      await run("web", { ExposedPorts: { "80/tcp": {} }, HostConfig: { Links: ["db"] } });
      await run("other");
      await eventually(async () => expect(await reached(api, "web", "db", 80)).toBe("yes"));
      results.push([
        await reached(api, "web", "db", 81),
        await reached(api, "db", "web", 80),
        await reached(api, "other", "db", 80),
        await reached(api, "other", "web", 80),
      ]);
      for (const name of ["db", "web", "other"]) await api.request("DELETE", `/containers/${name}?force=1`);
    }
    expect(results[0]).toEqual(["no", "no", "no", "no"]);
    expect(results[1]).toEqual(results[0]!);
  },
  60_000,
);
