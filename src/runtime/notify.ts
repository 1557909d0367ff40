/** Ops for the socket on which a container's first process says how it is. */
import { utf8 } from "../base/bytes.ts";
import { type OpList, slot, text, words } from "../linux/program/builder.ts";
import type { Supervise } from "../linux/program/op.ts";
import { AF_UNIX, AT_FDCWD, SO_PASSCRED, SOCK_DGRAM_CLOEXEC, SOL_SOCKET, SUN_PATH_BYTES } from "../linux/sys/abi.ts";
import { unixAddress } from "../linux/sys/unix-address.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { hostUserId } from "./namespaces.ts";
import { runFiles } from "./run-files.ts";
import type { StartRequest } from "./types.ts";

const SLOT = "notify";
const ROOT = { user: { uid: 0, gid: 0 } };

/** Host side, before the clone. The owner is the container's root: others must not be able to fill the socket's queue. */
export function openNotifySocket(host: OpList, { notifySocket: path, config }: StartRequest): void {
  if (!isUsable(path)) return;
  const why = "where the first process says how it is";
  const address = unixAddress(path);
  host.call("socket", [AF_UNIX, SOCK_DGRAM_CLOEXEC, 0], why, { out: SLOT });
  host.call("setsockopt", [slot(SLOT), SOL_SOCKET, SO_PASSCRED, words([1], "on"), 4], "from nobody else: by its pid");
  host.call("umask", [0o177], why);
  host.call("bind", [slot(SLOT), { data: address, show: path }, address.length], why);
  host.call("umask", [0], why);
  host.call(
    "fchownat",
    [AT_FDCWD, text(path), rootOf(config, "uid"), rootOf(config, "gid"), 0],
    "the container's root may write",
  );
}

function rootOf(config: OciConfig, kind: "uid" | "gid"): number {
  return hostUserId(config, { ...config.process!, ...ROOT }, kind);
}

function isUsable(path: string | undefined): path is string {
  return path !== undefined && utf8(path).length < SUN_PATH_BYTES;
}

/** What the supervisor does with it. */
export function supervisedSocket({ notifySocket, runDirectory }: StartRequest): Pick<Supervise, "notify"> {
  return isUsable(notifySocket) ? { notify: { socket: SLOT, path: runFiles(runDirectory).notified } } : {};
}
