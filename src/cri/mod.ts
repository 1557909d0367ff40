/** Kubernetes' runtime interface, by which a kubelet runs pods here. Loaded when it is asked for. */
import type { Socket } from "node:net";
import { join } from "node:path";
import { serveGrpc } from "../grpc/server.ts";
import type { CniOptions } from "../network/cni/mod.ts";
import { CniNetwork } from "./cni-network.ts";
import type { Cri } from "./cri.ts";
import { methodsOf } from "./methods.ts";
import { listSandboxes } from "./pods.ts";
import { namespacePathOf } from "./sandboxes/networked-pod.ts";
import { StreamingServer } from "./streaming/server.ts";

interface CriOptions extends Omit<Cri, "network" | "streaming"> {
  readonly cni: Omit<CniOptions, "cacheDirectory">;
}

/** Returns what serves one connection. */
export function createCri({ cni, ...parts }: CriOptions): (socket: Socket) => void {
  const { engine } = parts;
  const network = new CniNetwork({ ...cni, cacheDirectory: join(engine.paths.dataRoot, "cni") });
  const living = new Map(listSandboxes(engine).map((sandbox) => [sandbox.id, namespacePathOf(sandbox)]));
  engine.inBackground("detach pods that are gone", network.takeOver(living));
  // Docker's clients remove containers by force, sandboxes among them.
  engine.events.subscribe(({ type, action, id }) => {
    if (type === "container" && action === "destroy") engine.inBackground(`detach pod ${id}`, network.detach(id));
  });
  const methods = methodsOf({ ...parts, network, streaming: new StreamingServer() });
  return (socket) => {
    socket.on("error", () => socket.destroy());
    void serveGrpc(socket, methods);
  };
}
