/** Ops for the sources of bind mounts: who clones them, where, and when. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { ATTR } from "../../linux/mount/options.ts";
import type { OpList } from "../../linux/program/builder.ts";
import type { OciConfig, OciMount, VolumeMount } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import { cloneHostTree, type HostSource, lockReadonly, type MappedLate } from "../idmap.ts";
import { kindOfSource, type PlannedMount } from "./plan.ts";

/**
 * The sources of mounts whose owners are mapped, or that are file systems shared with others. `namespaceFd` finds the namespace
 * of one.
 */
export function hostSources(
  plan: readonly PlannedMount[],
  bundlePath: string,
  namespaceFd: (filesystem: number) => number,
): HostSource[] {
  return plan.flatMap(({ mount, options, why, clone, owners, inside }) => {
    const { part, filesystem } = mount as VolumeMount;
    const source = { part: part?.path, recursive: options.recursive, owners, out: clone, why };
    if (filesystem !== undefined)
      return [{ ...source, path: "/", namespaceFd: namespaceFd(filesystem), mapIfPossible: true }];
    return owners === undefined || inside !== undefined
      ? []
      : [{ ...source, path: sourcePath(mount, bundlePath, why) }];
  });
}

/** Idmapped mounts whose source is in the root once earlier mounts are made. */
export function mappedLate(plan: readonly PlannedMount[]): MappedLate[] {
  return plan.flatMap(({ owners, inside, clone, why, options: { recursive } }) =>
    owners && inside !== undefined ? [{ owners, clone, recursive, why }] : [],
  );
}

function sourcePath(mount: OciMount, bundlePath: string, why: string): string {
  if (!mount.source) throw new LighterError("invalid", `${why}: a bind mount needs a source`);
  return posix.resolve(bundlePath, mount.source);
}

/**
 * In the child, before anything is mounted or made private: clones all bind sources. It is so early because a clone keeps its
 * source's propagation, and because nothing of the container exists yet that could redirect a path.
 */
export function cloneSources(list: OpList, plan: readonly PlannedMount[], bundlePath: string): void {
  for (const planned of plan) if (isCloned(planned)) cloneSource(list, planned, bundlePath);
}

/**
 * Returns the binds that are locked: those that are read-only, in a user namespace whose root may mount. It could otherwise make
 * them writable, and write into a volume that others share and whose owners are mapped.
 */
export function readonlyToLock({ process }: OciConfig, plan: readonly PlannedMount[]): ReadonlySet<PlannedMount> {
  if (!process?.capabilities?.bounding?.includes("CAP_SYS_ADMIN")) return new Set();
  const isReadonly = ({ options: { bind, remount, set, recursiveSet } }: PlannedMount) =>
    bind && !remount && ((set | recursiveSet) & ATTR.RDONLY) !== 0;
  return new Set(plan.filter((planned) => isReadonly(planned) && planned.inside === undefined));
}

/**
 * Host side, in init's mount namespace: does what `cloneSources` does, for an init that cannot reach every source, and locks those
 * that are `locked`.
 */
export function sendSources(
  host: OpList,
  facts: HostFacts,
  plan: readonly PlannedMount[],
  bundlePath: string,
  locked: ReadonlySet<PlannedMount>,
): void {
  for (const planned of plan) {
    const { clone, options, why } = planned;
    const isOwn = isCloned(planned);
    if (isOwn) cloneSource(host, planned, bundlePath);
    if (locked.has(planned)) {
      const place = kindOfSource(planned, facts) === "directory" ? facts.rootMountpoint : ANY_FILE;
      lockReadonly(host, clone, options, place, `${why}: locked read-only`);
    } else if (!isOwn) continue;
    host.add({ kind: "send", fd: clone, why });
    if (isOwn) host.close(clone, "init has it");
  }
}

/** A file of every host. Init's mounts are its own by then, and the container's root is not among them. */
const ANY_FILE = "/proc/version";

/** In the child: receives what `sendSources` sends, in place of what it was born with. */
export function receiveSources(init: OpList, plan: readonly PlannedMount[], locked: ReadonlySet<PlannedMount>): void {
  for (const planned of plan) {
    const isOwn = isCloned(planned);
    if (!isOwn && !locked.has(planned)) continue;
    if (!isOwn) init.close(planned.clone, "one that is locked comes in its place");
    init.add({ kind: "receive", out: planned.clone, why: planned.why });
  }
}

function isCloned({ mount, options, owners, inside }: PlannedMount): boolean {
  const ownWay = owners !== undefined || inside !== undefined || (mount as VolumeMount).filesystem !== undefined;
  return options.bind && !options.remount && !ownWay;
}

function cloneSource(list: OpList, { mount, options, why, clone }: PlannedMount, bundlePath: string): void {
  cloneHostTree(
    list,
    sourcePath(mount, bundlePath, why),
    (mount as VolumeMount).part?.path,
    options.recursive,
    clone,
    why,
  );
}
