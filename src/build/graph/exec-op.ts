/** RUN as an operation: LLB's ExecOp. Source: moby/buildkit solver/pb/ops.proto (field numbers), solver/llbsolver/ops/exec.go. */

import { MOUNT_TYPES } from "../../spec/llb.ts";
import { SHARING } from "../dockerfile/mount.ts";
import { Message } from "./protobuf.ts";

export interface ExecOp {
  kind: "exec";
  args: readonly string[];
  env: readonly string[];
  /** Variables that the command sees and that make no difference to its result. */
  proxyEnv: readonly string[];
  cwd: string;
  user: string;
  network: Network;
  security: "sandbox" | "insecure";
  mounts: readonly ExecMount[];
  /** Secrets in variables. */
  secretEnv: readonly { id: string; name: string; optional: boolean }[];
  settings: RunSettings;
  /** The mount whose files are the result, in place of the root file system's. */
  keeps?: number | undefined;
  /** All results of the command, each as `keeps` says it, this one first, if there are several: other vertices have the others. */
  results?: readonly (number | undefined)[];
  hasReadOnlyRoot?: boolean;
}

export type Network = "default" | "host" | "none";

/** What all commands of a build are run with. */
export interface RunSettings {
  extraHosts: readonly { host: string; ip: string }[];
  ulimits: readonly { name: string; soft: number; hard: number }[];
  cgroupParent: string;
  /** Undefined: the usual one. */
  hostname?: string | undefined;
  /** 0 is the default. */
  shmBytes: number;
}

/** A mount beside the root file system. `target` is absolute and clean; `input` is the index of an input. */
export type ExecMount =
  | { type: "bind"; target: string; input: number; source: string; readOnly: boolean }
  | (CacheMount & { type: "cache"; target: string; readOnly: boolean })
  | { type: "tmpfs"; target: string; sizeBytes: number; readOnly: boolean }
  | (SecretMount & { type: "secret" | "ssh" });

export interface CacheMount {
  id: string;
  sharing: (typeof SHARING)[number];
  /** What a new one begins with, if it is not empty. */
  from?: { input: number; source: string };
  mode: number;
  uid: number;
  gid: number;
}

/** A file with a secret, or the socket of an agent. */
export interface SecretMount {
  id: string;
  target: string;
  mode: number;
  uid: number;
  gid: number;
  optional: boolean;
}

export const NETWORKS: readonly Network[] = ["default", "host", "none"];
const NONE = -1n;

/** The results of a command, each as `keeps` says it, its own first. */
export function resultsOf({ keeps, results = [keeps] }: ExecOp): readonly (number | undefined)[] {
  return results;
}

/** With `isKey`, what makes no difference to the result is left out: proxies, the addresses of hosts, the ids of caches. */
export function encodeExec(op: ExecOp, input: (index: number) => bigint, isKey: boolean): Message {
  const { args, env, proxyEnv, cwd, user, network, security, settings } = op;
  const meta = new Message().texts(1, args).texts(2, env).text(3, cwd).text(4, user);
  if (!isKey && proxyEnv.length > 0) meta.message(5, encodeProxies(proxyEnv));
  for (const { host, ip } of settings.extraHosts) meta.message(6, new Message().text(1, host).text(2, isKey ? "" : ip));
  meta.text(7, settings.hostname ?? "");
  for (const { name, soft, hard } of settings.ulimits)
    meta.message(9, new Message().text(1, name).number(2, soft).number(3, hard));
  meta.text(10, settings.cgroupParent);
  const root = new Message()
    .number(1, input(0))
    .text(3, "/")
    .number(4, op.keeps === undefined ? 0n : NONE);
  const message = new Message().message(1, meta).message(2, root.number(5, op.hasReadOnlyRoot === true));
  for (const [index, mount] of op.mounts.entries())
    message.message(2, encodeMount(mount, input, { isKey, isKept: index === op.keeps }));
  if (settings.shmBytes > 0) message.message(2, tmpfs("/dev/shm", settings.shmBytes));
  message.number(3, NETWORKS.indexOf(network)).number(4, security === "insecure");
  for (const { id, name, optional } of op.secretEnv)
    message.message(5, new Message().text(1, id).text(2, name).number(3, optional));
  return message;
}

function encodeMount(
  mount: ExecMount,
  input: (index: number) => bigint,
  { isKey, isKept }: { isKey: boolean; isKept: boolean },
): Message {
  if (mount.type === "tmpfs") return tmpfs(mount.target, mount.sizeBytes).number(5, mount.readOnly);
  const from = mount.type === "bind" ? mount : mount.type === "cache" ? mount.from : undefined;
  const message = new Message().number(1, from === undefined ? NONE : input(from.input));
  if (from !== undefined && from.source !== "/") message.text(2, from.source);
  message.text(3, mount.target).number(4, isKept ? 0n : NONE);
  if (mount.type === "bind" || mount.type === "cache") message.number(5, mount.readOnly);
  message.number(6, MOUNT_TYPES[mount.type]);
  if (mount.type === "cache") message.message(20, encodeCache(mount, isKey));
  if (mount.type !== "secret" && mount.type !== "ssh") return message;
  const { id, uid, gid, mode, optional } = mount;
  const options = new Message().text(1, id).number(2, uid).number(3, gid).number(4, mode).number(5, optional);
  return message.message(mount.type === "secret" ? 21 : 22, options);
}

export const CACHE_MODE = 0o755;

function encodeCache({ id, sharing, mode, uid, gid }: CacheMount, isKey: boolean): Message {
  const message = new Message().text(1, isKey ? "" : id).number(2, SHARING.indexOf(sharing));
  const isPlain = mode === CACHE_MODE && uid === 0 && gid === 0;
  return isKey || isPlain ? message : message.number(100, mode).number(101, uid).number(102, gid);
}

function tmpfs(target: string, sizeBytes: number): Message {
  const options = new Message().number(1, sizeBytes);
  return new Message()
    .number(1, NONE)
    .text(3, target)
    .number(4, NONE)
    .number(6, MOUNT_TYPES.tmpfs)
    .message(19, options);
}

const PROXY_FIELDS = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

function encodeProxies(variables: readonly string[]): Message {
  const message = new Message();
  for (const variable of variables) {
    const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(variable) ?? [];
    message.text(PROXY_FIELDS.indexOf(name.toLowerCase()) + 1, value);
  }
  return message;
}
