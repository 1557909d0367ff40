/** `RUN --mount` as mounts of an operation. Source: moby/buildkit dockerfile2llb, convert_runmount.go (the defaults). */
import { posix } from "node:path";
import type { Mount } from "../dockerfile/types.ts";
import { CACHE_MODE, type ExecMount, type ExecOp } from "./exec-op.ts";
import type { Vertex } from "./llb.ts";
import { invalid } from "./refuse.ts";

/** Finds what `from` names; undefined is the context. */
type SourceOf = (from: string | undefined) => Promise<Vertex>;

interface PlannedMounts extends Pick<ExecOp, "mounts" | "secretEnv"> {
  /** The operation's inputs after the root file system. */
  sources: Vertex[];
}

const [SECRET_MODE, AGENT_MODE] = [0o400, 0o600];

export async function planMounts(
  written: readonly Mount[],
  directory: string,
  sourceOf: SourceOf,
): Promise<PlannedMounts> {
  const mounts: ExecMount[] = [];
  const secretEnv: ExecOp["secretEnv"][number][] = [];
  const sources: Vertex[] = [];
  const fromInput = async (mount: Mount) => ({
    input: sources.push(await sourceOf(mount.from)),
    source: posix.join("/", mount.source ?? ""),
  });
  let agents = 0;
  for (const mount of written) {
    const { readOnly } = mount;
    switch (mount.type) {
      case "bind":
        mounts.push({ type: "bind", target: targetOf(mount, directory), ...(await fromInput(mount)), readOnly });
        break;
      case "cache":
        mounts.push({
          ...{ type: "cache", target: targetOf(mount, directory), readOnly, sharing: mount.sharing ?? "shared" },
          id: mount.id || posix.normalize(mount.target ?? ""),
          ...(mount.from === undefined ? {} : { from: await fromInput(mount) }),
          ...ownersOf(mount, CACHE_MODE),
        });
        break;
      case "tmpfs":
        mounts.push({ type: "tmpfs", target: targetOf(mount, directory), sizeBytes: mount.sizeBytes ?? 0, readOnly });
        break;
      case "secret": {
        const id = mount.source || mount.id || posix.basename(mount.target ?? "");
        const optional = !mount.required;
        if (mount.env !== undefined) secretEnv.push({ id, name: mount.env, optional });
        if (mount.env !== undefined && !mount.target) break;
        const target = mount.target ? targetOf(mount, directory) : `/run/secrets/${posix.basename(id)}`;
        mounts.push({ type: "secret", id, target, optional, ...ownersOf(mount, SECRET_MODE) });
        break;
      }
      case "ssh": {
        const target = mount.target ? targetOf(mount, directory) : `/run/buildkit/ssh_agent.${agents}`;
        agents++;
        const id = mount.id || mount.source || "default";
        mounts.push({ type: "ssh", id, target, optional: !mount.required, ...ownersOf(mount, AGENT_MODE) });
      }
    }
  }
  return { mounts, secretEnv, sources };
}

function targetOf({ target = "" }: Mount, directory: string): string {
  const path = posix.resolve("/", directory, target);
  if (path === "/") throw invalid(`invalid mount target ${JSON.stringify(path)}`);
  return path;
}

function ownersOf({ mode, uid, gid }: Mount, defaultMode: number) {
  return { mode: mode ?? defaultMode, uid: uid ?? 0, gid: gid ?? 0 };
}
