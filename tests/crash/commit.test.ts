/** `kill -9` of the daemon while it commits a container. */
import { afterEach, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { detectCgroupHost, isFrozen } from "../../src/linux/cgroup/mod.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon | undefined;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
  daemon = undefined;
});

for (const point of ["freeze container", "froze container"])
  rooted(`a daemon that dies at "${point}" of a commit leaves no container frozen and no image`, async () => {
    daemon = await TestDaemon.start();
    await daemon.kill();
    await daemon.launch({ LIGHTER_TEST_CRASH_AT: point });
    const id = await daemon.run({ Cmd: ["/bin/sh", "-c", "echo > /new; cat"], OpenStdin: true, HostConfig: hostUsr });
    const { json: before } = await daemon.request("GET", "/images/json");
    await expect(daemon.request("POST", `/commit?container=${id}&repo=x`)).rejects.toThrow();
    await daemon.ended();
    expect(daemon.log).toContain(point);
    expect(isFrozen(detectCgroupHost(), `/lighter/${id}`)).toBe(point === "froze container");

    await daemon.launch();
    expect(isFrozen(detectCgroupHost(), `/lighter/${id}`)).toBe(false);
    expect((await daemon.request("GET", "/images/json")).json).toEqual(before);
    const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`);
    attached.socket.write("still running\n");
    await attached.until((text) => text.includes("still running\n"));
    expect((await daemon.request("POST", `/commit?container=${id}&repo=x`)).status).toBe(201);
    expect(isFrozen(detectCgroupHost(), `/lighter/${id}`)).toBe(false);
    expect(readdirSync(join(daemon.dataRoot, "image/ingest"))).toEqual([]);
  });
