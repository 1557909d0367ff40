import { afterAll, expect } from "bun:test";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { hasNode, installTools, runNodeTests } from "./tools/run.ts";

/** dockerode, Node's client of the Docker Engine API, with real containers: its tests are in tools/dockerode.mjs. */

const canRun = isRoot && hasNode && hasDockerRegistry;
const stock = testIf(canRun, isRoot ? "no node, npm or docker-registry here" : "needs root");

let daemon: TestDaemon | undefined;
let registry: DockerRegistry | undefined;
let closed: DockerRegistry | undefined;

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await closed?.[Symbol.asyncDispose]();
});

stock("dockerode does with us what it does with Docker", async () => {
  installTools();
  [daemon, registry] = [await TestDaemon.start({ hostNetwork: true }), await DockerRegistry.start()];
  closed = await DockerRegistry.start({ users: { me: "secret" } });
  const { passed, failed, output } = await runNodeTests("dockerode.mjs", {
    TEST_SOCKET: daemon.socketPath,
    TEST_HOST_CONFIG: JSON.stringify(hostUsr),
    TEST_REGISTRY: registry.host,
    TEST_PRIVATE_REGISTRY: closed.host,
    TEST_LOGIN: "me:secret",
  });
  expect(failed, output).toEqual([]);
  expect(passed.length, output).toBeGreaterThan(10);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});
