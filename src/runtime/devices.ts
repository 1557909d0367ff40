/** Ops for a container's devices: nodes and links in /dev, and nodes elsewhere. */
import { posix } from "node:path";
import { LighterError } from "../base/errors.ts";
import { ATTR } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import type { DeviceType, Slot } from "../linux/program/op.ts";
import { AT_SYMLINK_NOFOLLOW, MNT_DETACH } from "../linux/sys/abi.ts";
import type { DeviceOfHost, OciConfig, OciDevice } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { DEV, ROOT } from "./mounts/place.ts";
import type { PlannedMount } from "./mounts/plan.ts";
import { hostIdOf, mappedId } from "./namespaces.ts";
import type { StartRequest } from "./types.ts";

const S_IFREG = 0o100000;
const S_IFCHR = 0o20000;
const S_IFBLK = 0o60000;
const S_IFIFO = 0o10000;

/** The devices that every container has. Source: runtime-spec config-linux.md#default-devices. */
const DEFAULT_DEVICES: readonly OciDevice[] = [
  { path: "/dev/null", type: "c", major: 1, minor: 3 },
  { path: "/dev/zero", type: "c", major: 1, minor: 5 },
  { path: "/dev/full", type: "c", major: 1, minor: 7 },
  { path: "/dev/random", type: "c", major: 1, minor: 8 },
  { path: "/dev/urandom", type: "c", major: 1, minor: 9 },
  { path: "/dev/tty", type: "c", major: 5, minor: 0 },
];

/** The kernel's memory; a kernel may be built without it. */
const KCORE = "/proc/kcore";

/** The links that every container has. Source: runtime-spec runtime-linux.md#dev-symbolic-links; /dev/core as in runc. */
const DEV_SYMLINKS: readonly (readonly [name: string, text: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", KCORE],
  ["ptmx", "pts/ptmx"],
];

const DEVICE_TYPES: ReadonlyMap<string, number> = new Map([
  ["c", S_IFCHR],
  ["u", S_IFCHR],
  ["b", S_IFBLK],
  ["p", S_IFIFO],
]);

/** A device's number in the kernel's 32-bit encoding; makedev(3). */
function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12);
}

/**
 * Where a container's nodes come from. `made`: init makes them. `bound`: in a user namespace mknod(2) is refused, and they are the
 * host's own. `given`: there too, but the host's side makes those that were asked for, with the owners that they have elsewhere.
 * The host's own would be nobody's in there, and closed to all but everybody.
 */
export type NodeOrigin = "made" | "bound" | "given";

/** Decides that. A caller who takes the process over gets what runc gives: the host's nodes. */
export function nodeOrigin(
  { handOver, config }: StartRequest,
  { rights }: HostFacts,
  userNamespace: "created" | "joined" | undefined,
): NodeOrigin {
  if (rights?.deviceNodes === false) return "bound";
  if (userNamespace === undefined) return "made";
  return userNamespace === "created" && !handOver && askedDevices(config).some(isNode) ? "given" : "bound";
}

const NODES = "nodes";
const GIVEN = "devices that were asked for";

/** Host side, before the clone: makes the nodes in a file system of their own. */
export function makeGivenNodes(host: OpList, config: OciConfig, origin: NodeOrigin): void {
  if (origin !== "given") return;
  const parameters = [
    { key: "source", value: "tmpfs" },
    { key: "mode", value: "0755" },
  ];
  host.newFilesystem("tmpfs", parameters, ATTR.NOSUID | ATTR.NOEXEC, NODES, GIVEN);
  for (const [index, device] of askedDevices(config).entries()) {
    if (!isNode(device)) continue;
    const why = `device ${device.path}`;
    const { uid = 0, gid = 0 } = device;
    const owner = mappedId(uid, config, "uid") ?? hostIdOf(0, config, "uid");
    const group = mappedId(gid, config, "gid") ?? hostIdOf(0, config, "gid");
    const { mode, number } = describeNode(device, why);
    host.call("mknodat", [slot(NODES), text(String(index)), mode, number], why);
    host.call("fchownat", [slot(NODES), text(String(index)), owner, group, AT_SYMLINK_NOFOLLOW], why);
  }
}

/** Host side, after the clone: init has the nodes. */
export function closeGivenNodes(host: OpList, origin: NodeOrigin): void {
  if (origin === "given") host.close(NODES, `${GIVEN}: init has them`);
}

/**
 * In the child, after the mounts: makes device nodes and links, in the fresh /dev or, without a mount there, in the image's. A
 * /dev that was bound has its own, and is not the container's to change; runc leaves it alone as well.
 */
export function populateDev(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  mounts: readonly PlannedMount[],
  origin: NodeOrigin,
): void {
  const devMount = mounts.findLast(({ destination, options }) => destination === "/dev" && !options.remount);
  if (devMount?.options.bind) return;
  if (devMount?.mount.type !== "tmpfs") {
    const why = "the image's /dev";
    init.add({ kind: "openTarget", root: ROOT, path: "dev", type: "directory", noSymlinks: true, out: DEV, why });
  }
  const asked = askedDevices(config);
  const listed = new Set(asked.map(({ path }) => posix.normalize(path)));
  const covered = new Set(mounts.map(({ destination }) => destination));
  const own = DEFAULT_DEVICES.filter(({ path }) => !listed.has(path) && !covered.has(path));
  for (const device of own) mountNode(init, device, origin === "made" ? "made" : "bound");
  if (origin === "given") init.moveMount(NODES, ROOT, `${GIVEN}: copies are made of what is mounted`);
  for (const [index, device] of asked.entries()) mountNode(init, device, origin, String(index));
  if (origin === "given") {
    init.call("fchdir", [slot(NODES)], `${GIVEN}: the directory goes`);
    init.call("umount2", [text("."), MNT_DETACH], `${GIVEN}: the directory goes`);
  }
  for (const [name, target] of DEV_SYMLINKS)
    if (target !== KCORE || host.kindOf(KCORE) !== "missing")
      init.call("symlinkat", [text(target), slot(DEV), text(name)], `/dev/${name}`, { tolerate: ["EEXIST"] });
}

/** A bound /dev brings the host's /dev/ptmx along. The container's own is the link into its devpts. */
function askedDevices(config: OciConfig): (OciDevice | DeviceOfHost)[] {
  return (config.linux?.devices ?? []).filter(({ path }) => posix.normalize(path) !== "/dev/ptmx");
}

/** Everybody may make a FIFO. */
function isNode({ type }: OciDevice): boolean {
  return type !== "p";
}

/** Puts a device's node at its path. `given`: the name of one that the host's side has made. */
function mountNode(init: OpList, device: OciDevice | DeviceOfHost, origin: NodeOrigin, given = ""): void {
  const path = posix.normalize(device.path);
  const why = `device ${path}`;
  if (!path.startsWith("/")) throw new LighterError("invalid", `${why} is not absolute`);
  if (!DEVICE_TYPES.has(device.type)) throw new LighterError("invalid", `${why}: unknown type "${device.type}"`);
  const parent = posix.dirname(path).slice(1) || ".";
  const name = posix.basename(path);
  const inDev = path.startsWith("/dev/") && parent === "dev";
  const directory = inDev ? DEV : "devdir";
  const noSymlinks = /^dev(\/|$)/.test(parent);
  if (!inDev)
    init.add({ kind: "openTarget", root: ROOT, path: parent, type: "directory", noSymlinks, out: "devdir", why });
  if (origin === "made" || !isNode(device)) {
    makeNode(init, device, directory, name, why);
    return;
  }
  init.call("mknodat", [slot(directory), text(name), S_IFREG | 0o666, 0], why, { tolerate: ["EEXIST"] });
  if (origin === "bound") init.cloneTree("hostPath" in device ? device.hostPath : path, false, "node", why);
  else {
    init.openInRoot(NODES, given, O.PATH, "given", why, { noSymlinks: true });
    init.cloneTreeOf("given", false, "node", why);
  }
  init.openInRoot(directory, name, O.PATH, "target", why, { noSymlinks: true });
  init.moveMount("node", "target", why);
}

function makeNode(init: OpList, device: OciDevice, directory: Slot, name: string, why: string): void {
  const { mode, number, major, minor } = describeNode(device, why);
  init.call("mknodat", [slot(directory), text(name), mode, number], why, { tolerate: ["EEXIST"], out: "made" });
  // A root file system that is started again has the node from the last time. An image may have anything there.
  init.openInRoot(directory, name, O.PATH, "node", why, { noSymlinks: true, unless: "made" });
  init.add({ kind: "checkDevice", fd: "node", type: DEVICE_KINDS[device.type]!, major, minor, guard: "node", why });
  const { uid = 0, gid = 0 } = device;
  if (uid || gid) init.call("fchownat", [slot(directory), text(name), uid, gid, AT_SYMLINK_NOFOLLOW], why);
}

/** What mknod(2) takes. */
function describeNode(device: OciDevice, why: string): { mode: number; number: number; major: number; minor: number } {
  const type = DEVICE_TYPES.get(device.type) ?? 0;
  const mode = type | (device.fileMode === undefined ? 0o666 : device.fileMode & 0o7777);
  const { major, minor } = deviceNumber(device, why);
  return { mode, number: makeDevice(major, minor), major, minor };
}

const DEVICE_KINDS: Readonly<Record<string, DeviceType>> = { c: "character", u: "character", b: "block", p: "fifo" };

/** A device's numbers. Source: runtime-spec config-linux.md#devices; bits of a device's number: linux/kdev_t.h. */
function deviceNumber({ type, major, minor }: OciDevice, why: string): { major: number; minor: number } {
  if (type === "p") return { major: 0, minor: 0 };
  const within = (number: number | undefined, end: number): number is number =>
    number !== undefined && Number.isInteger(number) && number >= 0 && number < end;
  if (within(major, 2 ** 12) && within(minor, 2 ** 20)) return { major, minor };
  throw new LighterError("invalid", `${why}: ${major}:${minor} is no device number`);
}
