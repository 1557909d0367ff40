/** StopPodSandbox and RemovePodSandbox: both succeed for what is not there. */
import type { Container } from "../../engine/mod.ts";
import { removeAnyhow, stopAtOnce } from "../containers/life.ts";
import type { Cri } from "../cri.ts";
import { unlessMissing } from "../errors.ts";
import { containersOf, findSandbox, sandboxConfig } from "../pods.ts";
import { usesHostNetwork } from "./networked-pod.ts";

export async function stopPodSandbox(cri: Cri, { podSandboxId }: { podSandboxId: string }): Promise<object> {
  const sandbox = await unlessMissing<Container | undefined>(() => findSandbox(cri.engine, podSandboxId), undefined);
  if (sandbox !== undefined) await stop(cri, sandbox);
  return {};
}

/** Nothing starts any more, then everything ends, and last what they had of the network. */
async function stop(cri: Cri, sandbox: Container): Promise<void> {
  const { engine } = cri;
  await sandbox.queue.run(() => {
    const { pod, status } = sandbox.record;
    if (pod !== undefined && !pod.isStopped && status !== "removing")
      sandbox.changeOrLater({ pod: { ...pod, isStopped: true } });
  });
  await Promise.all(containersOf(engine, sandbox.id).map((container) => stopAtOnce(engine, container)));
  // A failure leaves the sandbox to the next attempt.
  if (!usesHostNetwork(sandboxConfig(sandbox))) await cri.network.detach(sandbox.id);
  await stopAtOnce(engine, sandbox);
}

export async function removePodSandbox(cri: Cri, { podSandboxId }: { podSandboxId: string }): Promise<object> {
  const sandbox = await unlessMissing<Container | undefined>(() => findSandbox(cri.engine, podSandboxId), undefined);
  if (sandbox !== undefined) await removeSandbox(cri, sandbox);
  return {};
}

/** Stops a sandbox, and removes it with its containers. */
export async function removeSandbox(cri: Cri, sandbox: Container): Promise<void> {
  const { engine } = cri;
  await stop(cri, sandbox);
  await Promise.all(containersOf(engine, sandbox.id).map((container) => removeAnyhow(engine, container)));
  await removeAnyhow(engine, sandbox);
}
