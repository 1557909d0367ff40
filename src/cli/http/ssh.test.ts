import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A command line at each end, `ssh` in between, which is a shell here, and a daemon that answers little. */
const main = join(import.meta.dirname, "../../main.ts");
let folder: string;
let socketPath: string;
let server: Server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lighter-ssh-"));
  socketPath = join(folder, "socket");
  const program = (name: string, script: string) =>
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  program("lighter", `exec '${process.execPath}' --no-env-file '${main}' "$@"`);
  program("ssh", `printf '%s\\n' "$@" >'${folder}/asked'; for last; do :; done; exec sh -c "$last"`);
  server = createServer((request, response) => {
    if (request.url?.endsWith("/images/load?quiet=1")) {
      const hash = createHash("sha256");
      request.on("data", (chunk: Buffer) => hash.update(chunk));
      request.on("end", () => response.end(hash.digest("hex")));
    } else if (request.url?.includes("/containers/json")) response.end("[]");
    else response.end("OK");
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function lighter(args: readonly string[], env: Record<string, string> = {}, input?: Uint8Array) {
  const path = { PATH: `${folder}:${process.env.PATH}`, HOME: folder };
  const child = spawn(process.execPath, ["--no-env-file", main, ...args], { env: { ...path, ...env } });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (said.stdout += chunk));
  child.stderr.on("data", (chunk) => (said.stderr += chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, ...said };
}

test("a daemon is spoken to through ssh, by a program at its far end; much data too", async () => {
  const host = `ssh://me@far:22${socketPath}`;
  expect(await lighter(["-H", host, "ps", "-q"])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(readFileSync(join(folder, "asked"), "utf8")).toStartWith(
    "-o\nConnectTimeout=30\n-T\n-l\nme\n-p\n22\n--\nfar\n",
  );
  const much = randomBytes(20_000_000);
  const stdout = createHash("sha256").update(much).digest("hex");
  expect(await lighter(["-H", host, "load"], {}, much)).toEqual({ code: 0, stdout, stderr: "" });
}, 120_000);

test("what ssh says when it fails is the error, and so is that there is none", async () => {
  const far = await lighter(["-H", "ssh://far/nonexistent/socket", "ps"]);
  expect(far).toMatchObject({ code: 1, stderr: expect.stringContaining("ssh: Cannot connect to the Lighter daemon") });
  const none = await lighter(["-H", "ssh://far", "ps"], { PATH: "/nonexistent" });
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("ssh: there is no such program here") });
}, 120_000);

test("Docker's contexts name daemons: by --context, by DOCKER_CONTEXT, where nothing else names one", async () => {
  const DOCKER_CONFIG = join(folder, "config");
  const id = createHash("sha256").update("far").digest("hex");
  const directory = join(DOCKER_CONFIG, "contexts/meta", id);
  mkdirSync(directory, { recursive: true });
  const Endpoints = { docker: { Host: `unix://${socketPath}`, SkipTLSVerify: false } };
  writeFileSync(
    join(directory, "meta.json"),
    JSON.stringify({ Name: "far", Metadata: { Description: "d" }, Endpoints }),
  );
  const good = { code: 0, stdout: "", stderr: "" };
  expect(await lighter(["--context", "far", "ps", "-q"], { DOCKER_CONFIG })).toEqual(good);
  expect(await lighter(["ps", "-q"], { DOCKER_CONFIG, DOCKER_CONTEXT: "far" })).toEqual(good);
  const elsewhere = { DOCKER_CONFIG, DOCKER_CONTEXT: "far", DOCKER_HOST: "unix:///nonexistent/s" };
  expect((await lighter(["ps"], elsewhere)).stderr).toContain("unix:///nonexistent/s");
  expect((await lighter(["--context", "default", "ps"], elsewhere)).stderr).toContain("unix:///nonexistent/s");
  expect(await lighter(["-H", "x", "-c", "far", "ps"])).toMatchObject({
    code: 1,
    stderr: "conflicting options: either specify --host or --context, not both\n",
  });
  expect((await lighter(["-c", "nope", "ps"], { DOCKER_CONFIG })).stderr).toMatch(
    /^unable to resolve docker endpoint: context "nope": context not found: open .*meta\.json: no such file or directory\n$/,
  );
  const shown = (...args: string[]) => lighter(["-c", "far", "context", ...args], { DOCKER_CONFIG });
  expect((await shown("show")).stdout).toBe("far\n");
  expect((await shown("ls")).stdout).toMatch(/^far \* +d +unix:\/\/.*socket +\n/m);
  expect((await shown("ls", "-q")).stdout).toBe("default\nfar\n");
  expect(JSON.parse((await shown("inspect")).stdout)).toEqual([
    {
      ...{ Name: "far", Metadata: { Description: "d" }, Endpoints, TLSMaterial: {} },
      Storage: { MetadataPath: directory, TLSPath: join(DOCKER_CONFIG, "contexts/tls", id) },
    },
  ]);
}, 120_000);
