/** Runs programs and measures their time. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Runs a program to its end and returns its stdout; throws with its output if it fails. */
export function run(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
  const [program = "", ...args] = argv;
  const done = spawnSync(program, args, { env, encoding: "utf8", maxBuffer: 1 << 28 });
  if (done.status !== 0)
    throw new Error(`${argv.join(" ")} ended with ${done.status ?? done.signal}: ${done.stderr}${done.error ?? ""}`);
  return done.stdout;
}

/** The cgroup version of this host's containers, for the record of a result. */
export function cgroupSetup(): "v1/hybrid" | "v2" {
  return readFileSync("/proc/self/mountinfo", "utf8").includes(" - cgroup cgroup ") ? "v1/hybrid" : "v2";
}

/** Measures the milliseconds of one run of a whole process; throws if it fails. */
export function timeMs(argv: readonly string[], env?: NodeJS.ProcessEnv): number {
  const started = performance.now();
  run(argv, env);
  return performance.now() - started;
}

/** Measures the milliseconds until `count` runs, started together, have all ended. */
export async function timeTogetherMs(count: number, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now();
  await Promise.all(
    Array.from({ length: count }, () => {
      const [program = "", ...args] = argv;
      const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
      return new Promise<void>((resolve, reject) => {
        child.on("error", reject);
        child.on("exit", (code) =>
          code === 0 ? resolve() : reject(new Error(`${argv.join(" ")} ended with ${code}`)),
        );
      });
    }),
  );
  return performance.now() - started;
}
