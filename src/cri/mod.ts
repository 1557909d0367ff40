/** Kubernetes' runtime interface, by which a kubelet runs pods here. Loaded when it is asked for. */
import type { Socket } from "node:net";
import { serveGrpc } from "../grpc/server.ts";
import type { Cri } from "./cri.ts";
import { methodsOf } from "./methods.ts";
import { NO_NETWORK } from "./network.ts";

/** Returns what serves one connection. */
export function createCri(parts: Omit<Cri, "network">): (socket: Socket) => void {
  const methods = methodsOf({ ...parts, network: NO_NETWORK });
  return (socket) => {
    socket.on("error", () => socket.destroy());
    void serveGrpc(socket, methods);
  };
}
