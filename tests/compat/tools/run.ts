/** Programs of this folder, which use other people's clients of the API, run by the Node that those are made for. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, openSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { lockExclusive } from "../../../src/linux/sys/flock.ts";

const folder = import.meta.dirname;

export const hasNode = spawnSync("node", ["--version"]).status === 0 && spawnSync("npm", ["--version"]).status === 0;

/** What package-lock.json lists, into node_modules beside it. Native parts are left out: they are for SSH only. */
export function installTools(): void {
  const lockFd = openSync(join(folder, "package.json"), "r"); // one at a time; until this process ends
  lockExclusive(lockFd);
  const [listed, installed] = [join(folder, "package-lock.json"), join(folder, "node_modules/.package-lock.json")];
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(listed).mtimeMs) return;
  const args = ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  const done = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`npm ci in ${folder}: ${done.stderr}${done.error ?? ""}`);
  utimesSync(installed, new Date(), new Date());
}

export interface NodeTests {
  passed: string[];
  failed: string[];
  /** All that was said: for whoever has to find out why. */
  output: string;
}

/** The tests of one program, by their names. */
export async function runNodeTests(program: string, env: Record<string, string>): Promise<NodeTests> {
  const child = spawn("node", ["--test", "--test-reporter=tap", "--test-timeout=30000", join(folder, program)], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  const named = (pattern: RegExp) => [...output.matchAll(pattern)].map(([, name]) => name!);
  return { passed: named(/^ *ok \d+ - (.*)$/gm), failed: named(/^ *not ok \d+ - (.*)$/gm), output };
}
