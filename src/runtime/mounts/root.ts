/** Ops for a container's root: what all of its paths are resolved under. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { O, type OpList } from "../../linux/program/builder.ts";
import { MS_PRIVATE, MS_SLAVE } from "../../linux/sys/abi.ts";
import type { OciConfig, OciMount } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import { mountLayers } from "../idmap.ts";
import { PLAIN_DIRECTORIES, ROOT } from "./place.ts";

/**
 * In the child, as early as `cloneSources` and for the same reasons: clones the root directory, unless the root is made of
 * layers, and opens the place where it will be mounted.
 */
export function cloneRoot(init: OpList, config: OciConfig, rootfs: readonly OciMount[], bundlePath: string): void {
  if (rootfs.length > 0) return;
  const path = config.root?.path;
  if (!path) throw new LighterError("invalid", "root.path is missing");
  const why = `the root, ${path}`;
  const at = posix.resolve(bundlePath, path);
  openRootPlace(init, config, bundlePath);
  init.cloneTree(at, true, ROOT, why);
  // Slaves of the host's mounts hear of new ones there; whoever shares them with the host would tell it of ours.
  const slave = /^r?slave$/.test(config.linux?.rootfsPropagation ?? "");
  init.setAttributes(ROOT, { propagation: slave ? MS_SLAVE : MS_PRIVATE, recursive: true }, `${why}: keep our mounts`);
}

/** Opens the place where the root will be mounted, in the current mount namespace. */
export function openRootPlace(init: OpList, config: OciConfig, bundlePath: string): void {
  const path = config.root?.path;
  if (path) init.open(posix.resolve(bundlePath, path), O.PATH | O.DIRECTORY, "root.at", `the root, ${path}`);
}

/**
 * In the child: mounts the root file system, in its own mount namespace only, and opens it as ROOT.
 * @param isMounted by the host's side, and opened
 */
export function mountRoot(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  rootfs: readonly OciMount[],
  isMounted: boolean,
): void {
  makePrivate(init);
  if (isMounted) {
    // The root's fd is there already.
  } else if (rootfs.length === 0) {
    init.moveMount(ROOT, "root.at", `the root, ${config.root?.path}`);
  } else {
    for (const mount of rootfs) mountLayers(init, host, mount);
    openRoot(init, host);
  }
}

/** In the child, before anything is mounted below the root: checks that these directories are no symlinks. */
export function checkPlainDirectories(init: OpList): void {
  for (const name of PLAIN_DIRECTORIES) {
    const why = `/${name} must be mounted on ordinary directory`;
    init.openInRoot(ROOT, name, O.PATH | O.DIRECTORY, "plain", why, { noSymlinks: true, tolerate: ["ENOENT"] });
  }
}

/**
 * Lets the launcher hold the root, and so the mount, until everybody has been told of the end. To unmount an overlay is to write
 * back all that its disk has not written yet, whoever wrote it, and init's end would wait for that. This is not done if somebody
 * else is to hold the process, or the launcher does not wait for it.
 */
export function holdRoot(host: OpList): void {
  host.add({ kind: "receive", out: ROOT, why: "hold the root: its file system outlives the process" });
}

/** In the child: gives the launcher what `holdRoot` waits for. */
export function giveRoot(init: OpList): void {
  init.add({ kind: "send", fd: ROOT, why: "the launcher holds the root" });
}

export function letGoOfRoot(cleanup: OpList): void {
  cleanup.close(ROOT, "unmount the root, which writes back what its disk has not written yet", { guard: ROOT });
}

function openRoot(list: OpList, host: HostFacts): void {
  const why = "the root, as an fd: all of its paths are resolved under it";
  list.open(host.rootMountpoint, O.PATH | O.DIRECTORY, ROOT, why);
}

/**
 * Host side, in init's mount namespace: opens and sends the root, for an init that may not be able to go there. `isHeld`: the
 * launcher also holds it, as with `holdRoot`.
 */
export function sendRoot(host: OpList, facts: HostFacts, isHeld: boolean): void {
  openRoot(host, facts);
  host.add({ kind: "send", fd: ROOT, why: "the root, to init" });
  if (!isHeld) host.close(ROOT, "init has it");
}

/** In the child: waits until the host's side has mounted the root. */
export function receiveRoot(init: OpList): void {
  init.add({ kind: "receive", out: ROOT, why: "the root, from the host's side" });
}

function makePrivate(init: OpList): void {
  init.setAttributesAt(
    "/",
    { propagation: MS_PRIVATE, recursive: true },
    "keep our mounts from the host, and the host's from us",
  );
}
