/** Secrets and ssh agents that a client's session serves to the commands of its build. */
import { Duplex } from "node:stream";
import type { BuildInputs } from "../../engine/mod.ts";
import { Outbox } from "../../grpc/outbox.ts";
import { GrpcError, NOT_FOUND } from "../../grpc/status.ts";
import { agentRequestType, pieceType, secretRequestType, secretType } from "../../spec/buildkit.ts";
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
        if (error instanceof GrpcError && error.status.code === NOT_FOUND) return undefined;
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

/** A connection to the agent. Its sending half stays open to the end: clients take its close for that of all. */
function connectAgent(session: Session, id: string, signal: AbortSignal): Duplex {
  const outbox = new Outbox();
  const answers = session.call(FORWARD_AGENT, outbox, { metadata: { "buildkit.ssh.id": id }, signal });
  const agent = new Duplex({
    read() {
      nextPiece(answers).then(
        (piece) => this.push(piece),
        (error) => this.destroy(error),
      );
    },
    write(chunk: Buffer, _encoding, done) {
      outbox.send(pieceType.encode({ data: chunk }));
      done();
    },
    destroy(error, done) {
      outbox.close();
      void answers.return(undefined);
      done(error);
    },
  });
  agent.on("error", () => agent.destroy()); // the client has gone
  return agent;
}

/** The next bytes; null at the end. A piece without bytes says nothing. */
async function nextPiece(answers: AsyncIterator<Uint8Array>): Promise<Uint8Array | null> {
  for (let next = await answers.next(); next.done !== true; next = await answers.next()) {
    const { data } = pieceType.decode(next.value);
    if (data.length > 0) return data;
  }
  return null;
}
