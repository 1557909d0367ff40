/** Pulls the images that builds begin with. */
import { type PullEvent, pullImage } from "../../engine/mod.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { publishTransfer } from "../images/image-events.ts";

interface FetchOptions {
  /** Whether the newest is wanted even if there is one. */
  isPull: boolean;
  credentialsFor: (domain: string) => AuthConfig | Promise<AuthConfig>;
  signal: AbortSignal;
  onEvent: (event: PullEvent) => void;
  /** The platform that is wanted, if that matters. */
  platform: Platform | undefined;
}

function isFor(image: Platform, wanted: Platform | undefined): boolean {
  if (wanted === undefined) return true;
  const variant = wanted.variant ?? image.variant;
  return image.os === wanted.os && image.architecture === wanted.architecture && image.variant === variant;
}

/** Pulls the image if it is missing, or if the newest is wanted. */
export async function fetchImage(
  daemon: Daemon,
  name: string,
  { isPull, credentialsFor, signal, onEvent, platform }: FetchOptions,
): Promise<void> {
  if (daemon.images.isThere(name) && !isPull && isFor(daemon.images.get(name).document, platform)) return;
  const reference = withDefaultTag(parseReference(name));
  const client = await daemon.registries.open(reference, {
    credentials: await credentialsFor(reference.domain),
    signal,
    timing: { attempts: daemon.settings.downloadAttempts },
  });
  await pullImage(daemon.images, reference, { client, signal, onEvent, ...(platform && { platform }) });
  publishTransfer(daemon, "pull", reference);
}
