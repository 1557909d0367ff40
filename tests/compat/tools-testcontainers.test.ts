import { afterAll, expect } from "bun:test";
import { TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { hasNode, installTools, runNodeTests } from "./tools/run.ts";

/** Testcontainers for Node, with real containers: its tests are in tools/testcontainers.mjs. */

const stock = testIf(isRoot && hasNode, isRoot ? "no node or npm here" : "needs root");

let daemon: TestDaemon | undefined;

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

stock("Testcontainers does with us what it does with Docker", async () => {
  installTools();
  daemon = await TestDaemon.start();
  const { passed, failed, output } = await runNodeTests("testcontainers.mjs", {
    DOCKER_HOST: `unix://${daemon.socketPath}`,
    TESTCONTAINERS_RYUK_DISABLED: "true", // it is reached through a published port
    DOCKER_CONFIG: daemon.directory,
  });
  expect(failed, output).toEqual([]);
  expect(passed.length, output).toBeGreaterThan(3);
  const left = (await daemon.request("GET", "/containers/json?all=1")).json;
  expect(left.map(({ Names }: { Names: string[] }) => Names)).toEqual([]);
});
