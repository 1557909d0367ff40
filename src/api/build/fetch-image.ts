/** Pulls the images that builds begin with. */
import { type BuildRequest, type Login, pullBeside, pullImage } from "../../engine/mod.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { publishTransfer } from "../images/image-events.ts";

interface TransferOptions {
  /** Whether the newest is wanted even if there is one. */
  isPull: boolean;
  credentialsFor: (domain: string) => AuthConfig | Login;
  signal: AbortSignal;
}

function isFor(image: Platform, wanted: Platform | undefined): boolean {
  if (wanted === undefined) return true;
  const variant = wanted.variant ?? image.variant;
  return image.os === wanted.os && image.architecture === wanted.architecture && image.variant === variant;
}

/** Makes what pulls the images of one build that are missing, or of which the newest is wanted. */
export function imageFetcher(
  daemon: Daemon,
  { isPull, credentialsFor, signal }: TransferOptions,
): BuildRequest["fetchImage"] {
  return async (name, onEvent, platform) => {
    const { images } = daemon;
    const there = images.isThere(name) && !isPull ? images.get(name) : undefined;
    if (there !== undefined && isFor(there.document, platform)) return there.id;
    const reference = withDefaultTag(parseReference(name));
    const client = await daemon.registries.open(reference, {
      credentials: credentialsFor(reference.domain),
      signal,
      timing: { attempts: daemon.settings.downloadAttempts },
    });
    const options = { client, signal, onEvent, ...(platform && { platform }) };
    // A name goes on to mean the image for this host.
    if (!isFor(images.platform, platform)) return await pullBeside(images, reference, options);
    await pullImage(images, reference, options);
    publishTransfer(daemon, "pull", reference);
    return images.get(name).id;
  };
}
