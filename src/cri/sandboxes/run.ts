/** RunPodSandbox: a container of ours whose process keeps the pod's namespaces. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { type Container, createContainer, installSandboxImage, startContainer } from "../../engine/mod.ts";
import type { Call } from "../../grpc/server.ts";
import { podSandboxConfigType } from "../../spec/cri/common.ts";
import type { DockerCreateBody } from "../../spec/docker-api.ts";
import type { Cri } from "../cri.ts";
import { invalid, required } from "../errors.ts";
import { idMappingsOf } from "../id-mappings.ts";
import { makeLogDirectory } from "../log-directory.ts";
import { possibleOomScore } from "../oom-score.ts";
import type { SandboxConfig } from "../pods.ts";
import { RUNTIME_HANDLERS } from "../service/runtime.ts";
import { podName } from "./names.ts";
import { NODE } from "./namespace-modes.ts";
import { networkedPod, usesHostNetwork } from "./networked-pod.ts";
import { removeSandbox } from "./stop.ts";

/** A sandbox's process is the last to be killed when memory is short: the whole pod would go with it. */
const OOM_SCORE = -998;
const CPU_SHARES = 2;

interface Request {
  config: SandboxConfig | undefined;
  runtimeHandler: string;
}

/**
 * Resolves with the id of a sandbox that is ready. A failure leaves nothing, or if it cannot be disconnected one that is not ready,
 * which kubelet removes. A client that goes ends it.
 */
export async function runPodSandbox(
  cri: Cri,
  request: Request,
  { signal }: Pick<Call, "signal">,
): Promise<{ podSandboxId: string }> {
  const { engine } = cri;
  const config = required(request.config, "the sandbox's config");
  const metadata = required(config.metadata, "the sandbox's metadata");
  if (metadata.name === "") throw invalid("the sandbox's name is empty");
  if (!RUNTIME_HANDLERS.includes(request.runtimeHandler))
    throw invalid(
      `failed to get sandbox runtime: no runtime for ${JSON.stringify(request.runtimeHandler)} is configured`,
    );
  if (config.logDirectory !== "") makeLogDirectory(config.logDirectory);
  const name = podName("POD", metadata.name, metadata.namespace, metadata.uid, metadata.attempt);
  const image = await installSandboxImage(cri.images);
  const parent = config.linux?.cgroupParent ?? "";
  if (parent.split("/").includes("..") || /[\0\n]/.test(parent))
    throw invalid(`the cgroup parent ${JSON.stringify(parent)} is not a path of a cgroup`);
  const idMappings = idMappingsOf(config.linux?.securityContext?.namespaceOptions);
  const pod = {
    config: Buffer.from(podSandboxConfigType.encode(config)).toString("base64"),
    runtimeHandler: request.runtimeHandler,
    isStarting: true,
    ...(idMappings === undefined ? {} : { idMappings }),
  };
  const { id } = await createContainer(engine, sandboxBody(cri, config, image), name, { pod }).catch((error) => {
    throw reserved(error, name);
  });
  const sandbox = engine.find(id);
  try {
    await startContainer(engine, sandbox);
    await makeReady(sandbox, usesHostNetwork(config) ? [] : await attach(cri, sandbox, signal));
  } catch (error) {
    await removeSandbox(cri, sandbox).catch((undoError: unknown) =>
      log.error(`remove sandbox ${id}, which could not be started: ${messageOf(undoError)}`),
    );
    throw error;
  }
  return { podSandboxId: id };
}

/** @throws LighterError "conflict" if it was stopped in the meantime */
function makeReady(sandbox: Container, addresses: readonly string[]): Promise<void> {
  return sandbox.queue.run(() => {
    const { isStarting: _, ...made } = sandbox.record.pod!;
    if (made.isStopped) throw stopped(sandbox);
    sandbox.change({ pod: { ...made, addresses } });
  });
}

function stopped({ id }: Container): LighterError {
  return new LighterError("conflict", `sandbox ${JSON.stringify(id)} was stopped while it was started`);
}

async function attach({ network }: Cri, sandbox: Container, signal: AbortSignal): Promise<string[]> {
  if (sandbox.record.pod?.isStopped) throw stopped(sandbox);
  try {
    return await network.attach(networkedPod(sandbox), signal);
  } catch (error) {
    const text = `failed to setup network for sandbox ${JSON.stringify(sandbox.id)}: ${messageOf(error)}`;
    throw new LighterError("internal", text, { cause: error });
  }
}

function reserved(error: unknown, name: string): unknown {
  if (!(error instanceof LighterError && error.code === "conflict")) return error;
  return new LighterError("conflict", `failed to reserve sandbox name ${JSON.stringify(name)}: ${error.message}`);
}

/** The body by which Docker's API would create the sandbox. */
function sandboxBody(cri: Cri, config: SandboxConfig, image: string): DockerCreateBody {
  const { linux, dnsConfig } = config;
  const options = linux?.securityContext?.namespaceOptions;
  const isHostNetwork = usesHostNetwork(config);
  return {
    Image: image,
    Labels: Object.fromEntries(config.labels),
    ...(isHostNetwork || config.hostname === "" ? {} : { Hostname: config.hostname }),
    HostConfig: {
      NetworkMode: isHostNetwork ? "host" : "none",
      ...(isHostNetwork ? { UTSMode: "host" } : {}),
      IpcMode: options?.ipc === NODE ? "host" : "shareable",
      ...(options?.pid === NODE ? { PidMode: "host" } : {}),
      ...(linux?.cgroupParent ? { CgroupParent: linux.cgroupParent } : {}),
      Sysctls: Object.fromEntries(linux?.sysctls ?? []),
      ...(dnsConfig === undefined
        ? {}
        : { Dns: dnsConfig.servers, DnsSearch: dnsConfig.searches, DnsOptions: dnsConfig.options }),
      LogConfig: { Type: "none" },
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      CpuShares: CPU_SHARES,
      OomScoreAdj: possibleOomScore(OOM_SCORE, cri.host),
    },
  };
}
