/** PullImage. */
import { LighterError } from "../../base/errors.ts";
import { pullImage as pull } from "../../engine/mod.ts";
import type { authConfigType } from "../../spec/cri/images.ts";
import { parseReference, withTag } from "../../spec/image-reference.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import { type AuthConfig, domainOfServerAddress, parseAuthConfig } from "../../spec/registry-auth.ts";
import type { Cri } from "../cri.ts";
import { required } from "../errors.ts";
import { findImage } from "./find.ts";

interface Request {
  image: { image: string } | undefined;
  auth: MessageOf<typeof authConfigType> | undefined;
}

/** Resolves with the image's id. Credentials are this pull's alone. */
export async function pullImage(
  cri: Cri,
  request: Request,
  { signal }: { signal: AbortSignal },
): Promise<{ imageRef: string }> {
  const name = required(request.image, "the image").image;
  const named = parseReference(name);
  const reference = named.tag === undefined && named.digest === undefined ? withTag(named, "latest") : named;
  const client = await cri.registries().open(reference, {
    credentials: credentialsOf(request.auth, reference.domain),
    signal,
    timing: { attempts: cri.downloadAttempts() },
  });
  await pull(cri.images, reference, { client, signal, onEvent: () => {} });
  const image = findImage(cri.images, name);
  if (image === undefined) throw new LighterError("unavailable", `image ${JSON.stringify(name)} was removed meanwhile`);
  return { imageRef: image.id };
}

/** The credentials, unless they are for another registry. @throws LighterError "invalid" */
function credentialsOf(auth: Request["auth"], domain: string): AuthConfig {
  if (auth === undefined) return {};
  if (auth.serverAddress !== "" && domainOfServerAddress(auth.serverAddress) !== domain) return {};
  const { username, password, auth: pair, identityToken: identitytoken, registryToken: registrytoken } = auth;
  return parseAuthConfig({ username, password, auth: pair, identitytoken, registrytoken }, "the credentials");
}
