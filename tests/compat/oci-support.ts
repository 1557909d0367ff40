/** What the tests of our runtime under other programs share. */
import { globSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statfsSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import { missing } from "../support/missing.ts";
import { runtimeProgram } from "../support/program.ts";
import type { Outcome } from "./cli-support.ts";

/** Why tests that need these programs cannot run here, or undefined. */
export function whyNot(...programs: readonly string[]): string | undefined {
  return process.getuid?.() === 0 ? missing(...programs) : "needs root";
}

/**
 * Why containerd 1.7 finds no cgroup of its containers here, or undefined: it looks for a mount of each v1 hierarchy that
 * /proc/PID/cgroup names, and gives up if there is none. Then nothing is counted, and nobody hears of an OOM kill.
 */
export function whyNoMetrics(): string | undefined {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const mounted = mounts.flatMap((line) => / - cgroup \S+ (.*)/.exec(line)?.[1]?.split(",") ?? []);
  const named = readFileSync("/proc/self/cgroup", "utf8").split("\n");
  const lacking = named
    .flatMap((line) => line.split(":")[1]?.split(",") ?? [])
    .find((name) => name && !mounted.includes(name));
  return lacking === undefined ? undefined : `the cgroup hierarchy ${lacking} is mounted nowhere`;
}

/** A scratch directory with a link to our runtime. */
export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), "lighter-oci-"));
  readonly runtime = join(this.directory, "lighter-runtime");

  constructor() {
    symlinkSync(runtimeProgram, this.runtime);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Asks until it holds, and returns the answer. @throws Error with the last answer, after `ms` */
export async function until<T>(ask: () => T | Promise<T>, holds: (answer: T) => boolean, ms = 20_000): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() > deadline)
      throw new Error(`not within ${ms} ms; the last answer: ${JSON.stringify(answer)}`);
    await Bun.sleep(20);
  }
}

/** What of a container is still there: mounts, cgroups, processes and directories of `stateRoots` that name its id. */
export function tracesOf(id: string, stateRoots: readonly string[] = []): string[] {
  const mountinfo = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  const mounts = mountinfo.map((line) => line.split(" ")[4] ?? "").filter((path) => path.includes(id));
  const cgroups = mountinfo
    .filter((line) => / - cgroup2? /.test(line))
    .flatMap((line) => namesBelow(line.split(" ")[4] ?? ""));
  const states = stateRoots.flatMap(namesBelow);
  return [...mounts, ...cgroups.concat(states).filter((path) => path.includes(id)), ...processesNaming(id)];
}

/**
 * Callers leave the parents of their containers' cgroups, and conmon's. One that somebody else has something in stays. Podman
 * takes any directory with a controller's name for its hierarchy: in one where nothing is mounted it leaves files, too.
 */
export function removeCgroupParents(name: string): void {
  for (const parent of globSync(`/sys/fs/cgroup/{${name},*/${name}}`))
    if (statfsSync(parent).type === TMPFS_MAGIC) rmSync(parent, { recursive: true });
    else for (const path of [...namesBelow(parent).reverse(), parent]) removeUnlessBusy(path);
}

/** Of statfs(2). */
const TMPFS_MAGIC = 0x0102_1994;

function removeUnlessBusy(cgroup: string): void {
  try {
    rmdirSync(cgroup);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
  }
}

function namesBelow(path: string): string[] {
  try {
    const entries = readdirSync(path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return []; // it has just been removed
  }
}

function processesNaming(id: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
        const cgroup = readFileSync(`/proc/${pid}/cgroup`, "latin1");
        return line.includes(id) || cgroup.includes(id) ? [`process ${pid}: ${line}`] : [];
      } catch {
        return []; // it has just ended
      }
    });
}

export const RUNTIMES = ["runc", "lighter"] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** The same with both runtimes at a time. What one did is compared with what the other did. */
export async function both<T>(observe: (runtime: RuntimeName) => Promise<T>): Promise<{ runc: T; lighter: T }> {
  const [runc, lighter] = await Promise.all(RUNTIMES.map(observe));
  return { runc: runc as T, lighter: lighter as T };
}

/**
 * Without what names the runtime or the container. On purpose, what the kernel refused is told in other words: ours
 * name the field of the config and the call, runc where in its set-up it was. The kernel's own words are in both.
 */
export function plain({ stdout, stderr, code }: Outcome): Outcome {
  const bare = (text: string) =>
    withoutIds(text)
      .replace("lighter-runtime", "runc")
      .replace(/(container process: )(?!exec: ).*[:(] ?(?! ?unknown)([a-z ]+)\)?(?=: unknown|: OCI|\n)/, "$1... $2");
  return { stdout: bare(stdout), stderr: bare(stderr), code };
}

/** The same without what differs from one container to the next. */
export function withoutIds(text: string): string {
  return text
    .replace(/[0-9a-f]{64}/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "SHORT")
    .replace(/\/l\/[A-Z0-9]{26}/g, "/l/LAYER")
    .replace(/\b(shared|master|propagate_from):\d+/g, "$1:N");
}
