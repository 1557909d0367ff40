/**
 * Logs in to registries as a client of a session. Tokens it gets by itself, so that its password does not travel, and only the
 * client need reach the token server; one that does not gives its credentials. A token serves one pull of the client's build: nobody
 * has to prove (VerifyTokenAuthority) that another session's is meant for it, too.
 */
import { randomBytes } from "node:crypto";
import { LighterError } from "../../base/errors.ts";
import type { Login } from "../../engine/mod.ts";
import { GrpcError, UNAVAILABLE, UNIMPLEMENTED } from "../../grpc/status.ts";
import {
  authorityRequestType,
  credentialsRequestType,
  credentialsType,
  tokenRequestType,
  tokenType,
} from "../../spec/buildkit.ts";
import { DOCKER_HUB, DOCKER_HUB_HOST } from "../../spec/registry-auth.ts";
import type { Session } from "./sessions.ts";

const AUTH = "/moby.filesync.v1.Auth";
const SALT_BYTES = 32;

export function loginOf(session: Session, domain: string, signal: AbortSignal): Login {
  const host = domain === DOCKER_HUB ? DOCKER_HUB_HOST : domain;
  return {
    async ask() {
      if (!session.has(`${AUTH}/Credentials`)) return {};
      const request = credentialsRequestType.encode({ host });
      const answer = await unlessRefused(session.unary(`${AUTH}/Credentials`, request, { signal }));
      const { username, secret } = credentialsType.decode(answer ?? new Uint8Array());
      if (secret === "") return {};
      return username === "" ? { identitytoken: secret } : { username, password: secret };
    },
    async fetchToken({ realm, ...asked }) {
      if (!(await fetchesTokens(session, host, signal))) return undefined;
      const request = tokenRequestType.encode({ ...asked, host, realm });
      try {
        const answer = tokenType.decode(await session.unary(`${AUTH}/FetchToken`, request, { signal }));
        return { token: answer.token, expires_in: Number(answer.expiresInSeconds) };
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        throw new LighterError("unauthorized", `the client gets no token from ${realm}: ${error.message}`);
      }
    },
  };
}

/** Whether the client gets tokens by itself: it has a key that stands for its credentials then. */
async function fetchesTokens(session: Session, host: string, signal: AbortSignal): Promise<boolean> {
  if (!session.has(`${AUTH}/FetchToken`) || !session.has(`${AUTH}/GetTokenAuthority`)) return false;
  const request = authorityRequestType.encode({ host, salt: randomBytes(SALT_BYTES) });
  return (await unlessRefused(session.unary(`${AUTH}/GetTokenAuthority`, request, { signal }))) !== undefined;
}

/** The answer; undefined from a client that does not serve the method, or does not want to. */
async function unlessRefused(call: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof GrpcError && [UNAVAILABLE, UNIMPLEMENTED].includes(error.status.code)) return undefined;
    throw error;
  }
}
