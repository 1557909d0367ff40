/** LLB's ExecOp as a command. Source: moby/buildkit solver/llbsolver/ops/exec.go, mounts (what an option means). */
import { posix } from "node:path";
import type { LlbExec, LlbMount } from "../../spec/llb.ts";
import { MOUNT_TYPES } from "../../spec/llb.ts";
import { SHARING } from "../dockerfile/mount.ts";
import { CACHE_MODE, type ExecMount, type ExecOp, NETWORKS, type RunSettings } from "../graph/exec-op.ts";
import { SCRATCH, type Vertex } from "../graph/llb.ts";
import { invalid, notSupported } from "../graph/refuse.ts";
import type { MakeVertex } from "./decode.ts";

interface DecodeOptions {
  inputs: readonly Vertex[];
  name: string;
  output: number;
  make: MakeVertex;
}

export function decodeExec(exec: LlbExec, { inputs, name, output, make }: DecodeOptions): Vertex {
  const { meta, network, security, secretEnv, cdiDevices } = exec;
  if (meta === undefined || meta.args.length === 0) throw invalid("arguments are required");
  if (meta.cwd === "") throw invalid("a working directory is required");
  if (cdiDevices.length > 0) throw notSupported("a device (CDI) for a command of LLB");
  const root = exec.mounts.find(({ target }) => clean(target) === "/");
  if (root === undefined || root.type !== MOUNT_TYPES.bind)
    throw invalid("a command of the definition has no root file system");
  if (root.selector !== "") throw notSupported("a command of LLB whose root file system is a part of another");
  const used: Vertex[] = [vertexOf(inputs, root.input)];
  const use = (input: number) => used.push(vertexOf(inputs, input)) - 1;
  const rest = exec.mounts.filter((mount) => mount !== root && !isShm(mount));
  const keeps = rest.findIndex((mount) => mount.output === output);
  if (output < 0 || (root.output !== output && keeps < 0)) throw invalid(`a command has no result ${output}`);
  const isOther = root.output !== output;
  if (isOther && (rest[keeps]!.type !== MOUNT_TYPES.bind || rest[keeps]!.selector !== ""))
    throw notSupported("a command of LLB whose result is a part of a mount");
  const own = isOther ? keeps : undefined;
  const others = [root, ...rest].flatMap((mount) => {
    const isResult = mount.output >= 0 && mount.type === MOUNT_TYPES.bind && (mount === root || mount.selector === "");
    const result = mount === root ? undefined : rest.indexOf(mount);
    return isResult && result !== own ? [result] : [];
  });
  const op: ExecOp = {
    kind: "exec",
    args: meta.args,
    env: meta.env,
    proxyEnv: Object.entries(meta.proxies ?? {}).flatMap(([key, value]) =>
      value === "" ? [] : [`${key.toUpperCase()}=${value}`, `${key}=${value}`],
    ),
    cwd: posix.resolve("/", meta.cwd),
    user: meta.user,
    network: NETWORKS[network] ?? refuseNumber("network", network),
    security: (["sandbox", "insecure"] as const)[security] ?? refuseNumber("security", security),
    mounts: rest.map((mount) => mountOf(mount, use)),
    secretEnv,
    settings: settingsOf(meta, exec.mounts.find(isShm)),
    ...(isOther ? { keeps } : {}),
    ...(others.length > 0 ? { results: [own, ...others] } : {}),
    ...(root.readOnly ? { hasReadOnlyRoot: true } : {}),
  };
  return make(op, used, name || meta.args.join(" "));
}

export interface CommandParts extends Pick<LlbExec, "mounts" | "network"> {
  extraHosts: NonNullable<LlbExec["meta"]>["extraHosts"];
  hostname: string;
}

/** Decodes a command that has no arguments yet. `results` are what its mounts name: the root file system first. */
export function decodeCommand({ mounts, network, extraHosts, hostname }: CommandParts): {
  op: ExecOp;
  results: string[];
} {
  const names = new Map<Vertex, string>([[SCRATCH, ""]]);
  const inputs = mounts.map(({ result }): Vertex => {
    const vertex: Vertex = { op: { kind: "image", reference: result }, inputs: [], name: result };
    names.set(vertex, result);
    return vertex;
  });
  const own = mounts.map((mount, index) => {
    const isRoot = clean(mount.target) === "/";
    return { ...mount, input: mount.result === "" ? -1 : index, output: isRoot ? 0 : -1 };
  });
  const meta = { ...EMPTY_META, extraHosts, hostname };
  const exec = { meta, mounts: own, network, security: 0, secretEnv: [], cdiDevices: [] };
  const vertex = decodeExec(exec, {
    inputs,
    name: "",
    output: 0,
    make: (op, used, name) => ({ op, inputs: used, name }),
  });
  return { op: vertex.op as ExecOp, results: vertex.inputs.map((input) => names.get(input)!) };
}

const EMPTY_META = {
  ...{ args: ["true"], env: [], cwd: "/", user: "", proxies: undefined, hostname: "", ulimits: [] },
  ...{ cgroupParent: "", removesStubs: false },
};

function settingsOf(
  { extraHosts, ulimits, cgroupParent, hostname }: NonNullable<LlbExec["meta"]>,
  shm: LlbMount | undefined,
): RunSettings {
  return {
    extraHosts: extraHosts.map(({ name, value }) => ({ host: name, ip: value })),
    ulimits,
    cgroupParent,
    ...(hostname === "" ? {} : { hostname }),
    shmBytes: shm?.tmpfs?.sizeBytes ?? 0,
  };
}

function isShm({ type, target }: LlbMount): boolean {
  return type === MOUNT_TYPES.tmpfs && clean(target) === "/dev/shm";
}

function refuseNumber(what: string, number: number): never {
  throw invalid(`a command of the definition has the ${what} ${number}`);
}

function clean(path: string): string {
  return posix.resolve("/", path);
}

function vertexOf(inputs: readonly Vertex[], number: number): Vertex {
  if (number === -1) return SCRATCH;
  return inputs[number] ?? refuseNumber("input", number);
}

/** `use` gives the index that an input of the definition has among those of the vertex. */
function mountOf(mount: LlbMount, use: (input: number) => number): ExecMount {
  const { type, input, readOnly } = mount;
  const target = clean(mount.target);
  const source = clean(mount.selector);
  switch (type) {
    case MOUNT_TYPES.bind:
      return { type: "bind", target, input: use(input), source, readOnly };
    case MOUNT_TYPES.cache: {
      const { id = "", sharing = 0, mode = 0, uid = 0, gid = 0 } = mount.cache ?? {};
      if (id === "") throw invalid("a cache of a command has no id");
      return {
        ...{ type: "cache", target, readOnly, id, mode: mode & 0o7777 || CACHE_MODE, uid, gid },
        sharing: SHARING[sharing] ?? refuseNumber("sharing", sharing),
        ...(input === -1 ? {} : { from: { input: use(input), source } }),
      };
    }
    case MOUNT_TYPES.tmpfs:
      return { type: "tmpfs", target, sizeBytes: mount.tmpfs?.sizeBytes ?? 0, readOnly };
    case MOUNT_TYPES.secret:
    case MOUNT_TYPES.ssh: {
      const isSecret = type === MOUNT_TYPES.secret;
      const options = isSecret ? mount.secret : mount.ssh;
      if (options === undefined) throw invalid("a secret, or an agent, of a command has no id");
      return { type: isSecret ? "secret" : "ssh", target, ...options, mode: options.mode & 0o7777 };
    }
    default:
      return refuseNumber("type of mount", type);
  }
}
