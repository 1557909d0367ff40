/**
 * Runs hooks: programs of the config's author, with the container's state on stdin. Source: runtime-spec
 * config.md#posix-platform-hooks.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { LighterError, messageOf } from "../base/errors.ts";
import { OCI_HOOK_OUTPUT_MAX_BYTES } from "../base/limits.ts";
import { capabilitiesOf } from "../linux/capability/mod.ts";
import { FRAME_HEADER_BYTES } from "../linux/process/frames.ts";
import type { OciConfig, OciHook, OciHooks, OciProcess, OciState } from "../spec/oci-runtime.ts";
import { hasOwnPids } from "./own-pids.ts";
import type { Runtime } from "./types.ts";

export type HookName = keyof OciHooks;

/** The container for which hooks run. */
export interface HookTarget {
  id: string;
  /** The pid of its init on the host; 0 when it has ended. */
  pid: number;
  /** The config, with the hooks and the environment in which they run. */
  config: OciConfig;
  bundle: string;
  /** Its root, as seen in its mount namespace before pivot_root(2). */
  rootfs: string;
  /** A directory for run-time files of hooks that run inside; made if missing. */
  directory: string;
  /** Completes a process that will run as the container's own. */
  complete?: (process: OciProcess) => Promise<OciProcess>;
  /** Called before each hook runs. */
  onRun?: (what: string) => void;
  /** As in an `ExecRequest`. */
  onOp?: ((line: string) => void) | undefined;
}

/**
 * Hooks that run in the container's namespaces: the first with the host's files still in sight, the second as the process does.
 */
const INSIDE: readonly HookName[] = ["createContainer", "startContainer"];

/**
 * Runs hooks one after the other, in the order listed.
 * @throws LighterError for the first that fails, or takes longer than its timeout
 */
export async function runHooks(
  runtime: Runtime,
  target: HookTarget,
  name: HookName,
  status: OciState["status"],
): Promise<void> {
  for (const [index, hook] of (target.config.hooks?.[name] ?? []).entries()) {
    target.onRun?.(`hooks.${name}[${index}]: ${hook.path}`);
    const state = JSON.stringify(stateOf(target, status, INSIDE.includes(name)));
    try {
      if (INSIDE.includes(name)) await runInside(runtime, target, name, hook, state);
      else await runOutside(hook, state, target.bundle);
    } catch (error) {
      throw new LighterError("kernel", `error running ${name} hook #${index}: ${messageOf(error)}`, { cause: error });
    }
  }
}

function stateOf({ id, pid, bundle, config }: HookTarget, status: OciState["status"], inside: boolean): OciState {
  return {
    ociVersion: config.ociVersion,
    id,
    status,
    pid: status === "stopped" ? 0 : inside && hasOwnPids(config) ? 1 : pid,
    bundle,
    annotations: config.annotations ?? {},
  };
}

/**
 * Runs a hook outside of the container. Without `env` it gets our environment, as with runc; an empty `env` is none. It runs in
 * the bundle if there is one.
 */
function runOutside({ path, args = [path], env, timeout }: OciHook, state: string, bundle: string): Promise<void> {
  const [argv0 = path, ...rest] = args;
  const child = spawn(path, rest, {
    argv0,
    env: env ? environment(env) : process.env,
    ...(existsSync(bundle) ? { cwd: bundle } : {}),
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output = new Output();
  child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => output.push(bytes));
  child.stdin.on("error", () => {}); // whether it reads its state is its own affair
  child.stdin.end(state);
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    // A process that the hook has started may have its output: nobody waits for that if the hook has done its work, or is too
    // late.
    child.once("exit", (code) => (code === 0 || child.killed) && resolve(""));
    child.once("close", (code, signal) => resolve(endOf(code ?? 0, signal === null ? 0 : constants.signals[signal])));
  });
  return checked(ended, timeout, output, () => child.kill("SIGKILL"));
}

async function runInside(
  runtime: Runtime,
  { id, pid, config, rootfs, directory, complete = async (process) => process, onOp }: HookTarget,
  name: HookName,
  { path, args = [path], env, timeout }: OciHook,
  state: string,
): Promise<void> {
  const asProcess = name === "startContainer" && config.process;
  const hook: OciProcess = asProcess
    ? { ...asProcess, args, ...(env?.length ? { env } : {}), terminal: false }
    : {
        cwd: rootfs,
        args,
        env: env ?? Object.entries(process.env).map(([variable, value]) => `${variable}=${value}`),
        user: { uid: 0, gid: 0 },
        capabilities: ourCapabilities(config),
      };
  const { seccomp: _, ...linux } = config.linux ?? {};
  const supervised = await runtime.exec({
    id: `${id}.${name}`,
    containerPid: pid,
    config: asProcess ? config : { ...config, linux },
    process: asProcess ? await complete(hook) : hook,
    file: path,
    runDirectory: join(directory, "hook"),
    stdio: { terminal: false, stdin: true },
    attach: [{ stdin: true, stdout: true, stderr: true, closeStdinOnEnd: true }],
    ...(onOp ? { onOp } : {}),
  });
  const output = new Output(withoutHeaders);
  const [socket] = supervised.attached as [Socket];
  socket.on("error", () => {});
  socket.on("data", (bytes: Buffer) => output.push(bytes));
  socket.end(state);
  const said = new Promise((resolve) => socket.once("close", resolve));
  const ended = supervised.exited.then(async ({ exitCode, signal }) => {
    await said;
    return endOf(exitCode, signal);
  });
  await checked(ended, timeout, output, () => void supervised.signal(9));
  await supervised.gone;
}

/** The texts for signals, in runc's words. Source: signal(7). */
const SIGNAL_TEXTS: Readonly<Record<number, string>> = {
  1: "hangup",
  2: "interrupt",
  3: "quit",
  4: "illegal instruction",
  6: "aborted",
  7: "bus error",
  8: "floating point exception",
  9: "killed",
  11: "segmentation fault",
  13: "broken pipe",
  14: "alarm clock",
  15: "terminated",
  31: "bad system call",
};

/** Describes how a process ended; "" for success. */
function endOf(exitCode: number, signal: number): string {
  if (signal !== 0) return `signal: ${SIGNAL_TEXTS[signal] ?? signal}`;
  return exitCode === 0 ? "" : `exit status ${exitCode}`;
}

/** Waits for a hook. @throws Error saying how it failed, with the hook's output */
async function checked(
  ended: Promise<string>,
  timeoutSeconds: number | undefined,
  output: Output,
  kill: () => void,
): Promise<void> {
  let timedOut = false;
  const timer =
    timeoutSeconds === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          kill();
        }, timeoutSeconds * 1000);
  const end = await ended.finally(() => clearTimeout(timer));
  if (timedOut) throw new Error(`hook ran past specified timeout of ${timeoutSeconds}s`);
  if (end !== "") throw new Error(`${end}, output: ${output.text()}`);
}

/** Keeps the first bytes of a hook's output. */
class Output {
  readonly #pieces: Buffer[] = [];
  #room = OCI_HOOK_OUTPUT_MAX_BYTES;

  constructor(private readonly decode = (bytes: Buffer) => bytes) {}

  push(bytes: Buffer): void {
    const kept = bytes.subarray(0, this.#room);
    this.#room -= kept.length;
    if (kept.length > 0) this.#pieces.push(kept);
  }

  text(): string {
    return this.decode(Buffer.concat(this.#pieces)).toString();
  }
}

/** Removes Docker's framing, in which the supervisor passes output on; the last frame may be cut off. */
function withoutHeaders(framed: Buffer): Buffer {
  const payloads: Buffer[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= framed.length; ) {
    const start = at + FRAME_HEADER_BYTES;
    at = start + framed.readUInt32BE(start - 4);
    payloads.push(framed.subarray(start, at));
  }
  return Buffer.concat(payloads);
}

function environment(env: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    env.map((entry) => {
      const at = entry.indexOf("=");
      return at === -1 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

/** All capabilities that a hook can have: ours, or, as root of a user namespace, what our bounding set allows. */
function ourCapabilities({ linux }: OciConfig): NonNullable<OciProcess["capabilities"]> {
  const set = linux?.namespaces?.some(({ type }) => type === "user") ? "CapBnd" : "CapPrm";
  const mask = new RegExp(`^${set}:\\s*(\\w+)$`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const all = capabilitiesOf(BigInt(`0x${mask}`));
  return { bounding: all, effective: all, permitted: all };
}
