import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

function lighter(...args: string[]) {
  const argv = ["--no-env-file", join(import.meta.dirname, "../main.ts"), ...args];
  const env = { PATH: process.env.PATH, DOCKER_HOST: "unix:///nonexistent/socket" };
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8", env });
  return { code: status, stdout, stderr };
}

test.each<[string[], RegExp]>([
  [["buildx", "build", "."], /^Lighter builds with "lighter build": .*\n$/],
  [["compose", "up", "-d"], /^Lighter has no compose of its own: .*docker compose up"\n$/],
  [["swarm", "init"], /^Lighter has no swarm mode: .*\n$/],
  [["toString"], /^lighter: 'toString' is not a lighter command\.\nSee 'lighter --help'\n$/],
])("%j is no command of ours: one sentence says what to use", (args, stderr) => {
  expect(lighter(...args)).toEqual({ code: 1, stdout: "", stderr: expect.stringMatching(stderr) });
});

test("--help names the daemon too", () => {
  expect(lighter("--help").stdout).toMatch(/^ {2}daemon {7}Serve the API/m);
  expect(lighter("help", "daemon").stdout).toContain("Usage:  lighter daemon [OPTIONS]");
});

test("--config names the directory of the client's files", () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-config-"));
  const context = join(directory, "contexts/meta", createHash("sha256").update("far").digest("hex"));
  mkdirSync(context, { recursive: true });
  const endpoint = { Host: "unix:///far", SkipTLSVerify: false };
  const meta = { Name: "far", Metadata: {}, Endpoints: { docker: endpoint } };
  writeFileSync(join(context, "meta.json"), JSON.stringify(meta));
  const { code, stdout } = lighter("--config", directory, "context", "ls", "-q");
  rmSync(directory, { recursive: true });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "default\nfar\n" });
});
