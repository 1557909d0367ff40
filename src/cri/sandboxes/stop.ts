/** StopPodSandbox and RemovePodSandbox: both succeed for what is not there. */
import { type Container, removeContainer, stopContainer } from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { unlessMissing } from "../errors.ts";
import { containersOf, findSandbox, sandboxConfig } from "../pods.ts";
import { networkedPod } from "./networked-pod.ts";
import { usesHostNetwork } from "./run.ts";

const AT_ONCE = { signal: "KILL", timeoutSeconds: 0 };

export async function stopPodSandbox(cri: Cri, { podSandboxId }: { podSandboxId: string }): Promise<object> {
  const sandbox = await unlessMissing<Container | undefined>(() => findSandbox(cri.engine, podSandboxId), undefined);
  if (sandbox !== undefined) await stop(cri, sandbox);
  return {};
}

/** Nothing starts any more, then everything ends, and last what they had of the network. */
async function stop(cri: Cri, sandbox: Container): Promise<void> {
  const { engine } = cri;
  await sandbox.queue.run(() => {
    const { pod } = sandbox.record;
    if (pod !== undefined && !pod.isStopped) sandbox.changeOrLater({ pod: { ...pod, isStopped: true } });
  });
  await Promise.all(containersOf(engine, sandbox.id).map((container) => stopContainer(engine, container, AT_ONCE)));
  // The network goes first, as its plugins look into the namespace; a failure leaves the sandbox to the next attempt.
  if (!usesHostNetwork(sandboxConfig(sandbox))) await cri.network.detach(networkedPod(sandbox));
  await stopContainer(engine, sandbox, AT_ONCE);
}

export async function removePodSandbox(cri: Cri, { podSandboxId }: { podSandboxId: string }): Promise<object> {
  const { engine } = cri;
  const sandbox = await unlessMissing<Container | undefined>(() => findSandbox(engine, podSandboxId), undefined);
  if (sandbox === undefined) return {};
  await stop(cri, sandbox);
  const remove = (container: Container) => removeContainer(engine, container, { force: true, volumes: true });
  await Promise.all(containersOf(engine, sandbox.id).map(remove));
  await remove(sandbox);
  return {};
}
