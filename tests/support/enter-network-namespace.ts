/** A network namespace for a whole test file. */
import { dlopen } from "bun:ffi";
import { spawnSync } from "node:child_process";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import { bringLoopbackUp } from "./network-namespace.ts";

const CLONE_NEWNET = 0x40000000;

/**
 * From here on this process's main thread and whatever it starts are in a new network namespace, with loopback up. Before
 * anything else of the file: what was opened or started before stays where it was. It goes with the process.
 * Of `/sys/class/net` the host's is still what is mounted.
 */
export function enterNetworkNamespace(): void {
  const { unshare } = dlopen("libc.so.6", { unshare: { args: ["i32"], returns: "i32" } }).symbols;
  if (unshare(CLONE_NEWNET) !== 0) throw new Error("unshare(2) of the network namespace");
  using socket = new RouteSocket();
  bringLoopbackUp(socket);
}

/** Standard output of ip(8). @throws Error if it fails, with what it said */
export function ip(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
  return stdout;
}
