/** RunPodSandbox: a container of ours whose process keeps the pod's namespaces. */
import { LighterError, messageOf } from "../../base/errors.ts";
import {
  type Container,
  createContainer,
  installSandboxImage,
  removeContainer,
  startContainer,
} from "../../engine/mod.ts";
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
import { networkedPod } from "./networked-pod.ts";

/** A sandbox's process is the last to be killed when memory is short: the whole pod would go with it. */
const OOM_SCORE = -998;
const CPU_SHARES = 2;

interface Request {
  config: SandboxConfig | undefined;
  runtimeHandler: string;
}

/** Resolves with the id of a sandbox that is ready; a failure leaves nothing. */
export async function runPodSandbox(cri: Cri, request: Request): Promise<{ podSandboxId: string }> {
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
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeContainer(engine, sandbox, { force: true, volumes: true }));
  await startContainer(engine, sandbox);
  if (!usesHostNetwork(config)) undo.defer(() => cri.network.detach(networkedPod(sandbox)));
  const addresses = usesHostNetwork(config) ? [] : await attach(cri, sandbox);
  await sandbox.queue.run(() => {
    const { isStarting: _, ...made } = sandbox.record.pod!;
    sandbox.change({ pod: { ...made, addresses } });
  });
  undo.move();
  return { podSandboxId: id };
}

async function attach({ network }: Cri, sandbox: Container): Promise<string[]> {
  try {
    return await network.attach(networkedPod(sandbox));
  } catch (error) {
    const text = `failed to setup network for sandbox ${JSON.stringify(sandbox.id)}: ${messageOf(error)}`;
    throw new LighterError("internal", text, { cause: error });
  }
}

function reserved(error: unknown, name: string): unknown {
  if (!(error instanceof LighterError && error.code === "conflict")) return error;
  return new LighterError("conflict", `failed to reserve sandbox name ${JSON.stringify(name)}: ${error.message}`);
}

export function usesHostNetwork(config: SandboxConfig): boolean {
  return config.linux?.securityContext?.namespaceOptions?.network === NODE;
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
