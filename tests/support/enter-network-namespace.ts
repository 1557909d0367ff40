/** Puts a whole test file into a new network namespace. */
import { dlopen } from "bun:ffi";
import { spawnSync } from "node:child_process";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import { bringLoopbackUp } from "./network-namespace.ts";

const CLONE_NEWNET = 0x40000000;

/**
 * Moves this process's main thread, and whatever it starts from then on, into a new network namespace with loopback up. It must
 * come first in the file: what was opened or started before stays outside. The namespace ends with the process. `/sys/class/net`
 * remains the host's.
 */
export function enterNetworkNamespace(): void {
  const { unshare } = dlopen("libc.so.6", { unshare: { args: ["i32"], returns: "i32" } }).symbols;
  if (unshare(CLONE_NEWNET) !== 0) throw new Error("unshare(2) of the network namespace");
  using socket = new RouteSocket();
  bringLoopbackUp(socket);
}

/** Runs ip(8) and returns its standard output. @throws Error with its message if it fails */
export function ip(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
  return stdout;
}
