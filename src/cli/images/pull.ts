/** Pulls an image, with progress: for `pull`, and for containers whose image is missing. */
import { familiarName, type Reference } from "../../spec/image-reference.ts";
import { showProgress } from "../format/json-messages.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { serverOf } from "../login/credentials.ts";
import { requestWithCredentials } from "../login/registry-request.ts";
import { stderr } from "../output.ts";

/** Asks the daemon to pull an image; the answer is a progress stream. `action` as for requestWithCredentials. */
export function requestPull(
  client: Client,
  { reference, all, platform }: { reference: Reference; all: boolean; platform: string },
  action?: string,
): Promise<Response> {
  const query = encodeQuery({
    fromImage: familiarName(reference),
    platform: platform.toLowerCase() || undefined,
    tag: all ? undefined : (reference.digest ?? reference.tag),
  });
  const request = { method: "POST", path: `/images/create${query}` } as const;
  return requestWithCredentials(client, request, serverOf(reference), action);
}

/**
 * Pulls an image that a container needs, with progress on stderr or none.
 * @throws ApiError, or Error from the stream
 */
export async function pullForContainer(
  client: Client,
  reference: Reference,
  platform: string,
  quiet: boolean,
): Promise<void> {
  const response = await requestPull(client, { reference, all: false, platform });
  await showProgress(response, quiet ? undefined : { stream: stderr, fd: 2 });
}
