/** CreateContainer: what kubelet asks for, in the words of Docker's API, which the engine checks and completes. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { type Container, createContainer as create, type PodRecord } from "../../engine/mod.ts";
import { containerConfigType } from "../../spec/cri/containers.ts";
import type { DockerCreateBody, DockerHostConfig } from "../../spec/docker-api.ts";
import type { Cri } from "../cri.ts";
import { invalid, required } from "../errors.ts";
import { findImage } from "../images/find.ts";
import { makeLogDirectory } from "../log-directory.ts";
import { possibleOomScore } from "../oom-score.ts";
import { type ContainerConfig, findContainer, findSandbox, isReady, requireReady, sandboxConfig } from "../pods.ts";
import { podName } from "../sandboxes/names.ts";
import { NODE, POD, TARGET } from "../sandboxes/namespace-modes.ts";
import { usesHostNetwork } from "../sandboxes/networked-pod.ts";
import { deviceSettings } from "./devices.ts";
import { removeAnyhow } from "./life.ts";
import { mappedDestinations, mountSettings } from "./mounts.ts";
import { furtherLimitsOf, limitsOf } from "./resources.ts";
import { ambientCapabilities, securitySettings, userSettings } from "./security.ts";
import { stopSignalName } from "./stop-signal.ts";

/** The policy that leaves the image's groups out. Source: SupplementalGroupsPolicy in api.proto. */
const STRICT = 1;

interface Request {
  podSandboxId: string;
  config: ContainerConfig | undefined;
}

export async function createContainer(cri: Cri, request: Request): Promise<{ containerId: string }> {
  const { engine } = cri;
  const config = required(request.config, "the container's config");
  const metadata = required(config.metadata, "the container's metadata");
  if (metadata.name === "") throw invalid("the container's name is empty");
  const sandbox = findSandbox(engine, request.podSandboxId);
  requireReady(sandbox);
  const asked = config.image?.image ?? "";
  const image = findImage(cri.images, asked);
  if (image === undefined)
    throw new LighterError("not-found", `failed to resolve image ${JSON.stringify(asked)}: not found`);
  const pod = sandboxConfig(sandbox);
  const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
  const record = podRecordOf(sandbox, config);
  const body = { ...containerBody(config), Image: asked, HostConfig: hostConfigOf(cri, sandbox, config) };
  const ownName = podName(metadata.name, name, namespace, uid, metadata.attempt);
  const { id } = await create(engine, body, ownName, { pod: record });
  const made = engine.containers.get(id);
  // Who stopped the sandbox in the meantime did not see this container.
  if (!isReady(sandbox) && made !== undefined) await removeAnyhow(engine, made);
  requireReady(sandbox);
  return { containerId: id };
}

/** What the engine keeps of the request. */
function podRecordOf(sandbox: Container, config: ContainerConfig): PodRecord {
  const logPath = logPathOf(sandboxConfig(sandbox).logDirectory, config.logPath);
  const { idMappings } = sandbox.record.pod ?? {};
  const mappedMounts = idMappings === undefined ? [] : mappedDestinations(config.mounts);
  const limits = furtherLimitsOf(config.linux?.resources);
  const ambient = ambientCapabilities(config.linux?.securityContext);
  return {
    sandboxId: sandbox.id,
    config: Buffer.from(containerConfigType.encode(config)).toString("base64"),
    ...(logPath === undefined ? {} : { logPath }),
    ...(idMappings === undefined ? {} : { idMappings }),
    ...(mappedMounts.length === 0 ? {} : { mappedMounts }),
    ...(ambient.length === 0 ? {} : { ambient }),
    ...(limits === undefined ? {} : { limits }),
    ...(config.linux?.securityContext?.supplementalGroupsPolicy === STRICT ? { groups: "strict" } : {}),
  };
}

function logPathOf(directory: string, path: string): string | undefined {
  if (directory === "" || path === "") return undefined;
  const whole = posix.join(directory, path);
  makeLogDirectory(posix.dirname(whole));
  return whole;
}

function containerBody(config: ContainerConfig): DockerCreateBody {
  const { command, args, envs, stopSignal } = config;
  const signal = stopSignalName(stopSignal);
  return {
    Labels: Object.fromEntries(config.labels),
    ...(command.length > 0 ? { Entrypoint: command } : {}),
    ...(args.length > 0 ? { Cmd: args } : {}),
    WorkingDir: config.workingDir,
    Env: envs.map(({ key, value }) => `${key}=${value}`),
    Tty: config.tty,
    OpenStdin: config.stdin,
    StdinOnce: config.stdinOnce,
    // kubelet has probes of its own.
    Healthcheck: { Test: ["NONE"] },
    ...(signal === undefined ? {} : { StopSignal: signal }),
    ...userSettings(config.linux?.securityContext),
  };
}

function hostConfigOf(cri: Cri, sandbox: Container, config: ContainerConfig): DockerHostConfig {
  const { linux } = config;
  const pod = sandboxConfig(sandbox);
  const security = linux?.securityContext;
  const parent = pod.linux?.cgroupParent;
  const peer = `container:${sandbox.id}`;
  return {
    NetworkMode: peer,
    ...(usesHostNetwork(pod) ? { UTSMode: "host" } : {}),
    IpcMode: security?.namespaceOptions?.ipc === NODE ? "host" : peer,
    ...pidMode(cri, sandbox, security?.namespaceOptions),
    ...(parent ? { CgroupParent: parent } : {}),
    LogConfig: { Type: "none" },
    ...limitsOf(linux?.resources),
    OomScoreAdj: possibleOomScore(linux?.resources?.oomScoreAdj ?? 0, cri.host),
    ...securitySettings(security),
    ...mountSettings(config.mounts),
    ...deviceSettings(config),
    Annotations: Object.fromEntries(config.annotations),
  };
}

function pidMode(
  { engine }: Cri,
  sandbox: Container,
  options: { pid: number; targetId: string } | undefined,
): DockerHostConfig {
  if (options?.pid === NODE) return { PidMode: "host" };
  if (options?.pid === POD) return { PidMode: `container:${sandbox.id}` };
  if (options?.pid !== TARGET) return {};
  const target = findContainer(engine, options.targetId);
  if (target.record.pod?.sandboxId !== sandbox.id)
    throw invalid(`the target container ${JSON.stringify(options.targetId)} is in another pod`);
  return { PidMode: `container:${target.id}` };
}
