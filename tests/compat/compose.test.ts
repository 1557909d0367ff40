import { afterAll, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Docker Compose against our daemon: a project with three services, two networks and a volume. */

const hasCompose = spawnSync("docker", ["compose", "version"]).status === 0;
const compose = testIf(isRoot && hasCompose, isRoot ? "no docker compose here" : "needs root");

/** `db` is healthy a second after its start; `api` must not begin before; `web` reaches api only, and is published. */
const PROJECT = `
name: shop
x-common: &common
  image: host-usr
  pull_policy: never
  stop_signal: SIGKILL
  volumes: ["${hostUsr.Binds[0]}"]
services:
  db:
    <<: *common
    command: ["sh", "-c", "echo db begins; date +%s%N >> /data/starts; sleep 1; exec busybox httpd -f -p 5432 -h /data"]
    volumes: ["${hostUsr.Binds[0]}", "data:/data"]
    networks: [back]
    healthcheck: { test: ["CMD", "busybox", "wget", "-qO-", "http://127.0.0.1:5432/starts"], interval: 200ms, retries: 50 }
  api:
    <<: *common
    command: ["sh", "-c", "mkdir /www; busybox wget -qO /www/from-db http://db:5432/starts; exec busybox httpd -f -p 80 -h /www"]
    networks: { back: {}, front: { aliases: [backend] } }
    depends_on: { db: { condition: service_healthy } }
    healthcheck: { test: ["CMD", "busybox", "wget", "-qO-", "http://127.0.0.1/from-db"], interval: 200ms, retries: 50 }
  web:
    <<: *common
    command: ["sh", "-c", "mkdir /www; hostname > /www/index.html; exec busybox httpd -f -p 8080 -h /www"]
    networks: [front]
    ports: ["8081:8080"]
    depends_on: { api: { condition: service_healthy } }
networks: { back: { internal: true }, front: {} }
volumes: { data: {} }
`;

let daemon: TestDaemon;
let directory: string;

beforeAll(async () => {
  if (!isRoot || !hasCompose) return;
  daemon = await TestDaemon.start();
  directory = join(daemon.directory, "shop");
  mkdirSync(directory);
  writeFileSync(join(directory, "compose.yaml"), PROJECT);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

async function runToEnd(argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  const child = spawn(argv[0]!, argv.slice(1), { env, cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.stdout += chunk));
  child.stderr.on("data", (chunk: Buffer) => (said.stderr += chunk));
  const code = await new Promise<number>((resolve) => child.once("close", (status) => resolve(status ?? -1)));
  return { code, ...said };
}

/** `docker compose …`, which must succeed. Returns its stdout. */
async function shop(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runToEnd(["docker", "compose", "--ansi=never", "--progress=plain", ...args]);
  if (code !== 0) throw new Error(`docker compose ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

interface Listed {
  Service: string;
  State: string;
  Health: string;
  Name: string;
  Publishers: { PublishedPort: number; TargetPort: number; Protocol: string }[] | null;
}

async function list(): Promise<Listed[]> {
  const lines = (await shop("ps", "-a", "--format", "json")).trim().split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line)).sort((a, b) => a.Name.localeCompare(b.Name));
}

/** web has said its host name, as the daemon's host hears it at its own port. Compose does not wait until it listens. */
async function expectPublished(): Promise<void> {
  const fetch = daemon.network.inside("busybox", "wget", "-qO-", "http://127.0.0.1:8081/");
  await eventually(async () => expect((await runToEnd(fetch)).stdout).toMatch(/^[0-9a-f]{12}\n$/));
}

const fetchIn = (service: string, url: string) => shop("exec", "-T", service, "busybox", "wget", "-qO-", url);

compose("up starts the services in the order of their health checks, and they find one another by name", async () => {
  await shop("up", "-d", "--wait");
  const services = await list();
  expect(services.map(({ Name, State, Health }) => `${Name} ${State} ${Health}`)).toEqual([
    "shop-api-1 running healthy",
    "shop-db-1 running healthy",
    "shop-web-1 running ",
  ]);
  expect(services[2]!.Publishers).toContainEqual(
    expect.objectContaining({ PublishedPort: 8081, TargetPort: 8080, Protocol: "tcp" }),
  );
  expect(await shop("port", "web", "8080")).toBe("0.0.0.0:8081\n");
  // api has asked db by its name before it served anything.
  const starts = await shop("exec", "-T", "db", "cat", "/data/starts");
  expect(starts).toMatch(/^\d+\n$/);
  expect(await fetchIn("web", "http://backend/from-db")).toBe(starts);
  expect(await fetchIn("web", "http://shop-api-1/from-db")).toBe(starts);
  await expectPublished();
});

compose("a service is not found on a network that it is not in", async () => {
  const found = await runToEnd(["docker", "compose", "exec", "-T", "web", "busybox", "nslookup", "db"]);
  expect(found.code).not.toBe(0);
  expect(await shop("exec", "-T", "api", "busybox", "nslookup", "db")).toContain("Address");
});

compose("logs, top, cp and run do their part", async () => {
  expect(await shop("logs", "--no-color", "db")).toContain("db begins");
  expect(await shop("top", "db")).toContain("httpd");
  await shop("cp", "compose.yaml", "db:/data/copied");
  expect(await shop("exec", "-T", "db", "cat", "/data/copied")).toBe(PROJECT);
  const asked = ["sh", "-c", "busybox wget -qO- http://db:5432/copied | head -n 2"];
  expect(await shop("run", "--rm", "--no-deps", "-T", "api", ...asked)).toBe("\nname: shop\n");
});

compose("restart keeps names and ports, and what a volume holds", async () => {
  await shop("restart", "-t", "0", "db", "api", "web");
  await shop("up", "-d", "--wait");
  const starts = await shop("exec", "-T", "db", "cat", "/data/starts");
  expect(starts).toMatch(/^\d+\n\d+\n$/);
  await expectPublished();
  // It is up to date: nothing is made anew.
  const before = await daemon.request("GET", "/containers/json");
  await shop("up", "-d", "--wait");
  const after = await daemon.request("GET", "/containers/json");
  const ids = ({ json }: { json: { Id: string }[] }) => json.map(({ Id }) => Id).sort();
  expect(ids(after)).toEqual(ids(before));
});

compose("two containers of a service are both behind its name", async () => {
  await shop("up", "-d", "--wait", "--scale", "api=2");
  const answer = await shop("exec", "-T", "web", "busybox", "nslookup", "api");
  const addresses = [...answer.matchAll(/^Address(?: \d+)?: +(\d+\.\d+\.\d+\.\d+)$/gm)].map((match) => match[1]);
  expect(new Set(addresses).size).toBe(2);
});

compose("a daemon that was killed leaves the project running, and the next one goes on with it", async () => {
  await daemon.kill();
  await daemon.launch();
  await expectPublished();
  expect(await fetchIn("web", "http://backend/from-db")).toMatch(/^\d+\n/);
  await shop("stop", "-t", "0");
  expect(new Set((await list()).map(({ State }) => State))).toEqual(new Set(["exited"]));
  await shop("start");
  await expectPublished();
});

compose("down removes containers, networks and volumes", async () => {
  await shop("down", "-v", "-t", "0");
  const { json: containers } = await daemon.request("GET", "/containers/json?all=1");
  const { json: networks } = await daemon.request("GET", "/networks");
  const { json: volumes } = await daemon.request("GET", "/volumes");
  expect(containers).toEqual([]);
  expect(networks.map(({ Name }: { Name: string }) => Name).sort()).toEqual(["bridge", "host", "none"]);
  expect(volumes.Volumes ?? []).toEqual([]);
});
