/** Directories that a client's session serves as containerd's content stores: what is in them is found by its digest. */
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import type { CachePlace, LayoutSource } from "../../engine/mod.ts";
import { Outbox } from "../../grpc/outbox.ts";
import { ALREADY_EXISTS, GrpcError, NOT_FOUND } from "../../grpc/status.ts";
import {
  CONTENT_ACTIONS,
  contentInfoRequestType,
  contentReadAnswerType,
  contentReadType,
  contentWriteAnswerType,
  contentWriteType,
} from "../../spec/buildkit.ts";
import { parseDigest } from "../../spec/oci-image.ts";
import { type CacheClient, type ClientDirectory, directoryPlace } from "../build/cache-places.ts";
import { PIECE_MAX_BYTES } from "./pieces.ts";
import { loginOf } from "./session-login.ts";
import type { Session } from "./sessions.ts";

const SERVICE = "/containerd.services.content.v1.Content";
/** The store of that id. Clients call the directory of a cache "local:PATH", a layout "oci:NAME", and an output's directory "export". */
export function contentOf(session: Session, id: string, signal: AbortSignal): ClientDirectory {
  const options = { metadata: { "buildkit-attachable-store-id": id }, signal };
  return {
    async has(digest) {
      try {
        await session.unary(`${SERVICE}/Info`, contentInfoRequestType.encode({ digest }), options);
        return true;
      } catch (error) {
        if (error instanceof GrpcError && error.status.code === NOT_FOUND) return false;
        throw error;
      }
    },
    async *read(digest) {
      for await (const answer of session.call(`${SERVICE}/Read`, [contentReadType.encode({ digest })], options))
        yield contentReadAnswerType.decode(answer).data;
    },
    async write({ digest, size }, read) {
      const requests = new Outbox();
      const answers = session.call(`${SERVICE}/Write`, requests, options);
      const ref = `lighter-${randomId()}`;
      /** Sends a request, and waits for its answer. */
      const ask = async (request: Parameters<typeof contentWriteType.encode>[0]) => {
        requests.send(contentWriteType.encode({ ...request, ref, total: BigInt(size), expected: digest }));
        const { done, value } = await answers.next();
        if (done === true) throw new LighterError("unavailable", `the client has not taken blob ${digest}`);
        return contentWriteAnswerType.decode(value);
      };
      try {
        let offset = 0;
        await ask({ action: CONTENT_ACTIONS.stat });
        for await (const chunk of read())
          for (let at = 0; at < chunk.length; at += PIECE_MAX_BYTES) {
            const data = chunk.subarray(at, at + PIECE_MAX_BYTES);
            await ask({ action: CONTENT_ACTIONS.write, offset: BigInt(offset), data });
            offset += data.length;
          }
        await ask({ action: CONTENT_ACTIONS.commit, offset: BigInt(offset) });
      } catch (error) {
        if (!(error instanceof GrpcError) || error.status.code !== ALREADY_EXISTS) throw error;
      } finally {
        requests.close();
        await answers.return(undefined);
      }
    },
  };
}

/** Opens what has a digest in a layout of a session. */
export async function openLayout(
  session: Session,
  { store, digest }: LayoutSource,
  signal: AbortSignal,
): Promise<CachePlace> {
  return directoryPlace(contentOf(session, `oci:${store}`, signal), parseDigest(digest, "digest"));
}

/** How caches are reached for a client. */
export function cacheClientOf(session: Session, signal: AbortSignal): CacheClient {
  return {
    directory: (path) => contentOf(session, `local:${path}`, signal),
    credentialsFor: (domain) => loginOf(session, domain, signal),
    signal,
  };
}
