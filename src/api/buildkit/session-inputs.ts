/** Secrets and ssh agents that a client's session serves to the commands of its build. */
import type { Duplex } from "node:stream";
import type { BuildInputs } from "../../engine/mod.ts";
import { GrpcError, NOT_FOUND, UNIMPLEMENTED } from "../../grpc/status.ts";
import { openTunnel } from "../../grpc/tunnel.ts";
import { agentRequestType, secretRequestType, secretType } from "../../spec/buildkit.ts";
import { dataOf, piecesOf } from "./pieces.ts";
import type { Session } from "./sessions.ts";

const GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent";

export function inputsOf(session: Session, signal: AbortSignal): BuildInputs {
  return {
    async secret(id) {
      if (!session.has(GET_SECRET)) return undefined;
      try {
        return secretType.decode(await session.unary(GET_SECRET, secretRequestType.encode({ id }), { signal })).data;
      } catch (error) {
        if (error instanceof GrpcError && [NOT_FOUND, UNIMPLEMENTED].includes(error.status.code)) return undefined;
        throw error;
      }
    },
    async ssh(id) {
      if (!session.has(CHECK_AGENT)) return undefined;
      try {
        await session.unary(CHECK_AGENT, agentRequestType.encode({ id }), { signal });
      } catch (error) {
        if (error instanceof GrpcError) return undefined; // it has none of that id
        throw error;
      }
      return connectAgent(session, id, signal);
    },
  };
}

/** A connection to the agent. */
function connectAgent(session: Session, id: string, signal: AbortSignal): Duplex {
  const options = { metadata: { "buildkit.ssh.id": id }, signal };
  return openTunnel((outgoing) => dataOf(session.call(FORWARD_AGENT, piecesOf(outgoing), options)));
}
