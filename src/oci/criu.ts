/**
 * Checkpoint and restore through the program `criu` and its command line. Source: criu(8).
 *
 * What lies outside the container is "external" to CRIU: it gets a name at the dump, and must be supplied under that name at the
 * restore. The name of a mount is its place in the container; the name of a stdio pipe is the text of /proc/PID/fd
 * ("pipe:[123]").
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DEFAULT_PATH } from "../base/default-path.ts";
import { errnoOf, LighterError } from "../base/errors.ts";
import { OCI_STATE_MAX_BYTES } from "../base/limits.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { list, readDocument, string } from "../spec/reader.ts";
import { cgroupHost } from "./cgroup.ts";
import type { OciContext } from "./command.ts";
import type { Flag, Parsed } from "./flags.ts";
import { readRegularFile } from "./read-file.ts";

/** A file beside CRIU's images, as with runc: what stdin, stdout and stderr were. */
const DESCRIPTORS_FILE = "descriptors.json";
/** A file with the mounts of `describeMounts`, one a line of JSON's list. */
const MOUNTS_FILE = "lighter-mounts.json";
const ERROR_LINES_SHOWN = 3;

/** The flags that `checkpoint` and `restore` share. */
export const CRIU_FLAGS: readonly Flag[] = [
  { name: "image-path", kind: "string", help: "directory of CRIU's image files", default: '"checkpoint"' },
  { name: "work-path", kind: "string", help: "directory of CRIU's work files and logs" },
  { name: "tcp-established", kind: "boolean", help: "allow open TCP connections" },
  { name: "ext-unix-sk", kind: "boolean", help: "allow external unix sockets" },
  { name: "shell-job", kind: "boolean", help: "allow shell jobs" },
  { name: "file-locks", kind: "boolean", help: "handle file locks" },
  { name: "lazy-pages", kind: "boolean", help: "use userfaultfd to restore memory pages when they are needed" },
  { name: "auto-dedup", kind: "boolean", help: "deduplicate memory images" },
  { name: "manage-cgroups-mode", kind: "string", help: "soft, full, strict or ignore", default: '"soft"' },
  { name: "empty-ns", kind: "list", help: "make this namespace, but do not restore what is in it: network" },
];

interface CriuPaths {
  images: string;
  log: string;
}

/** Makes the directories, and returns the options of `CRIU_FLAGS` for CRIU's command line. */
export function criuOptions(parsed: Parsed, logName: string): { options: string[]; paths: CriuPaths } {
  const images = resolve(parsed.string("image-path") ?? "checkpoint");
  const work = resolve(parsed.string("work-path") ?? images);
  for (const path of [images, work]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const options = ["--no-default-config", "--images-dir", images, "--work-dir", work, "--log-file", logName, "-v4"];
  for (const name of ["tcp-established", "ext-unix-sk", "shell-job", "file-locks", "lazy-pages", "auto-dedup"])
    if (parsed.boolean(name)) options.push(`--${name}`);
  const mode = parsed.string("manage-cgroups-mode") ?? "soft";
  if (!["soft", "full", "strict", "ignore"].includes(mode))
    throw new LighterError("invalid", `invalid manage-cgroups-mode "${mode}"`);
  options.push(`--manage-cgroups=${mode}`);
  for (const namespace of parsed.list("empty-ns")) {
    if (namespace !== "network") throw new LighterError("not-supported", `namespace ${namespace} is not supported`);
    options.push("--empty-ns", "net");
  }
  return { options, paths: { images, log: join(work, logName) } };
}

/** Refuses containers with parts that CRIU cannot be given. @throws LighterError ("not-supported") naming the part */
export function refuseUncheckpointable(config: OciConfig): void {
  const refuse = (what: string) => {
    throw new LighterError("not-supported", `checkpoint and restore of a container with ${what} is not supported`);
  };
  if (config.process?.terminal) refuse("a terminal");
  for (const { type, path } of config.linux?.namespaces ?? [])
    if (path && !["network", "pid"].includes(type)) refuse(`a ${type} namespace of others`);
  const seesCgroups = config.mounts?.some(({ type }) => type === "cgroup") ?? false;
  const hasNamespace = config.linux?.namespaces?.some(({ type }) => type === "cgroup") ?? false;
  // CRIU finds no root for such mounts.
  if (seesCgroups && !hasNamespace && cgroupHost().v1.length > 0) refuse("cgroup v1 mounts and no cgroup namespace");
}

/**
 * Runs CRIU. `fds`, none of which is 0, become its 3, 4 …; its stdin is this command's, which it does not read. Of the
 * environment it gets only PATH: CRIU_CONFIG_FILE could name scripts to run.
 * @throws LighterError ("unavailable") if it is not installed, "kernel" with the last errors of its log
 */
export async function runCriu(
  { criu, log }: OciContext,
  action: "dump" | "pre-dump" | "restore",
  args: readonly string[],
  logPath: string,
  fds: readonly number[] = [],
): Promise<void> {
  log.debug(`${criu} ${action} ${args.join(" ")}`);
  const child = spawn(criu, [action, ...args], {
    stdio: [0, "ignore", "ignore", ...fds],
    env: { PATH: process.env.PATH ?? DEFAULT_PATH },
  });
  const [code, signal] = await once(child, "exit").catch((cause: unknown) => {
    const missing = errnoOf(cause) === "ENOENT";
    throw new LighterError(
      "unavailable",
      missing ? `checkpoint and restore need CRIU: no program "${criu}"` : `run "${criu}": ${errnoOf(cause)}`,
      { hint: "install criu, or name it with --criu", cause },
    );
  });
  if (code === 0) return;
  const reason = signal ? `ended by ${signal}` : `exit code ${code}`;
  throw new LighterError("kernel", `criu failed: ${action}: ${reason}${lastErrors(logPath)}; log file: ${logPath}`);
}

function lastErrors(logPath: string): string {
  try {
    const errors = readFileSync(logPath, "utf8").match(/Error \(.*$/gm) ?? [];
    return errors
      .slice(-ERROR_LINES_SHOWN)
      .map((line) => `; ${line}`)
      .join("");
  } catch {
    return ""; // CRIU ended before it had a log
  }
}

/** Options that name the namespaces which others made: they are not dumped, and are joined at the restore. */
export function externalNamespaces(config: OciConfig): string[] {
  return joinedNamespaces(config).flatMap(({ kind, path, key }) => [
    "--external",
    `${kind}[${statSync(path).ino}]:${key}`,
  ]);
}

function joinedNamespaces(config: OciConfig): { kind: string; path: string; key: string }[] {
  return (config.linux?.namespaces ?? []).flatMap(({ type, path }) => {
    const kind = { network: "net", pid: "pid" }[type as string];
    return kind && path ? [{ kind, path, key: `extRoot${kind === "net" ? "Net" : "Pid"}NS` }] : [];
  });
}

/** File systems that CRIU makes anew, although the host has mounts of them, too. */
const REMADE = new Set(["proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2"]);

/** Options for the dump: the container's mounts of file systems that the host has mounted, too. Notes them for the restore. */
export function externalMounts(pid: number, images: string): string[] {
  const parse = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(" "))
      .map((fields) => ({ device: fields[2]!, place: fields[4]!, type: fields[fields.indexOf("-", 6) + 1]! }));
  const ofHost = new Set(parse("/proc/self/mountinfo").map(({ device }) => device));
  const places = parse(`/proc/${pid}/mountinfo`)
    .filter(({ device, place, type }) => place !== "/" && ofHost.has(device) && !REMADE.has(type))
    .map(({ place }) => place);
  writeFileSync(join(images, MOUNTS_FILE), JSON.stringify(places), { mode: 0o600 });
  return places.flatMap((place) => ["--external", `mnt[${place}]:${place}`]);
}

/** Notes what stdin, stdout and stderr are, for the restore. */
export function noteDescriptors(pid: number, images: string): void {
  const names = [0, 1, 2].map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ""; // the process has closed this one
    }
  });
  writeFileSync(join(images, DESCRIPTORS_FILE), JSON.stringify(names), { mode: 0o600 });
}

interface RestoreParts {
  options: string[];
  /** The descriptors that become CRIU's from 3 on. */
  fds: number[];
  /** Closes those of `fds` that are not this command's stdio. */
  close: () => void;
}

/** Options for the restore: this command's stdio in place of the old pipes, the namespaces, and the sources of mounts. */
export function externalParts(config: OciConfig, images: string): RestoreParts {
  const options: string[] = [];
  const fds: number[] = [];
  const opened: number[] = [];
  const inherit = (fd: number, key: string) => options.push("--inherit-fd", `fd[${2 + fds.push(fd)}]:${key}`);
  const descriptors = readList(join(images, DESCRIPTORS_FILE));
  for (const [fd, name] of descriptors.slice(0, 3).entries())
    if (name.startsWith("pipe:") && descriptors.indexOf(name) === fd) {
      if (fd === 0) options.push("--inherit-fd", `fd[0]:${name}`);
      else inherit(fd, name);
    }
  for (const { path, key } of joinedNamespaces(config)) {
    const fd = openSync(path, "r");
    opened.push(fd);
    inherit(fd, key);
  }
  for (const place of readList(join(images, MOUNTS_FILE)))
    options.push("--external", `mnt[${place}]:${sourceOf(config, place)}`);
  return {
    options,
    fds,
    close: () => {
      for (const fd of opened) closeSync(fd);
    },
  };
}

/** The path on the host of what the container has at `place`. */
function sourceOf({ mounts = [], linux = {} }: OciConfig, place: string): string {
  const mount = mounts.findLast(({ destination }) => resolve("/", destination) === place);
  if (mount?.source) return mount.source;
  if (linux.maskedPaths?.some((path) => resolve("/", path) === place)) return "/dev/null";
  if (place.startsWith("/dev/")) return place;
  throw new LighterError("invalid", `the checkpoint has a mount at "${place}", which is not among the config's mounts`);
}

const readStrings = list(string);

function readList(path: string): string[] {
  try {
    return readDocument(readStrings, readRegularFile(path, OCI_STATE_MAX_BYTES).toString(), path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw new LighterError("not-found", `"${path}" is missing: is this a checkpoint?`);
    throw error;
  }
}
