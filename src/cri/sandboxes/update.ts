/** UpdatePodSandboxResources: kubelet tells how large the pod is, whose cgroup is its own to change. */
import { podSandboxConfigType } from "../../spec/cri/common.ts";
import type { Resources } from "../containers/resources.ts";
import type { Cri } from "../cri.ts";
import { findSandbox, forgetConfig, sandboxConfig } from "../pods.ts";

interface Request {
  podSandboxId: string;
  overhead: Resources | undefined;
  resources: Resources | undefined;
}

/** Remembers the sizes. */
export async function updatePodSandboxResources({ engine }: Cri, request: Request): Promise<object> {
  const sandbox = findSandbox(engine, request.podSandboxId);
  const { overhead, resources } = request;
  await sandbox.queue.run(() => {
    const config = sandboxConfig(sandbox);
    const linux = { ...config.linux, ...(overhead && { overhead }), ...(resources && { resources }) };
    const text = Buffer.from(podSandboxConfigType.encode({ ...config, linux })).toString("base64");
    sandbox.change({ pod: { ...sandbox.record.pod!, config: text } });
    forgetConfig(sandbox);
  });
  return {};
}
