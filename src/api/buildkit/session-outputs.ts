/** Sends what was built to the client's session: directories, and archives. */
import { LighterError } from "../../base/errors.ts";
import { type BuildOutput, type OutputTargets, sendTree } from "../../engine/mod.ts";
import { Outbox } from "../../grpc/outbox.ts";
import { piecesOf } from "./pieces.ts";
import { contentOf } from "./session-content.ts";
import type { Session } from "./sessions.ts";

const FILE_SEND = "/moby.filesync.v1.FileSend/DiffCopy";

export function targetsOf(session: Session, outputs: readonly BuildOutput[], signal: AbortSignal): OutputTargets {
  return {
    async send(index, tar) {
      const received = new Outbox();
      const requests =
        outputs[index]?.type === "local" ? sendTree(tar, received[Symbol.asyncIterator]()) : piecesOf(tar);
      const metadata = { "buildkit-attachable-exporter-id": String(index) };
      try {
        for await (const packet of session.call(FILE_SEND, requests, { metadata, signal })) received.send(packet);
      } finally {
        received.close();
      }
    },
    layout: async () => contentOf(session, "export", signal),
    push: refuse,
    pushComposed: refuse,
  };
}

function refuse(): Promise<never> {
  return Promise.reject(new LighterError("internal", "clients of BuildKit's API push by themselves"));
}
