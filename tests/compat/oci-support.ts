/** What the tests of our runtime under other programs share. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Why tests that need these programs cannot run here, or undefined. */
export function whyNot(...programs: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = programs.find((program) => Bun.which(program) === null);
  return missing === undefined ? undefined : `needs ${missing}`;
}

/** A scratch directory with a link "lighter-runtime" to our program: called by that name, it is the runtime. */
export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), "lighter-oci-"));
  readonly runtime = join(this.directory, "lighter-runtime");

  constructor() {
    symlinkSync(join(root, "dist/lighter"), this.runtime);
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

/** Said by a container of its surroundings: one script, so that one start answers many questions. */
export const PROBE = [
  "id; umask; pwd; hostname; cat /proc/self/oom_score_adj /proc/self/limits /proc/self/attr/current",
  "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status",
  "env | sort",
  "echo fds; ls /proc/self/fd",
  'echo devices; ls -lnR /dev | awk \'{ if (NF > 8) $8 = ""; $6 = $7 = $8 = ""; print }\' | sort',
  "echo mounts; cut -d' ' -f4- /proc/self/mountinfo",
  "echo cgroups; cat /proc/self/cgroup",
  "echo paths; for p in /proc/kcore /proc/keys /proc/timer_list /proc/sys/kernel/hostname /sys/firmware /proc/irq /x; do",
  "(echo > $p) 2>&1; ls -ld $p | cut -c1-10; done",
  "tr '\\0' ' ' < /proc/1/cmdline",
].join("\n");

/** The same without what differs from one container to the next. */
export function withoutIds(text: string): string {
  return text
    .replace(/[0-9a-f]{64}/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "SHORT")
    .replace(/\/l\/[A-Z0-9]{26}/g, "/l/LAYER")
    .replace(/\b(shared|master|propagate_from):\d+/g, "$1:N");
}
