/**
 * Uploads one blob to a registry:
 *
 *   POST …/blobs/uploads/ ──► 202, Location ──► PUT Location&digest=…, all bytes ──► 201
 *
 * Source: distribution-spec spec.md#post-then-put.
 */
import { LighterError } from "../../base/errors.ts";
import type { Descriptor } from "../../spec/oci-image.ts";
import type { ClientOptions, Endpoint } from "./endpoint.ts";
import { isUnauthorized } from "./registry-error.ts";
import { retrying } from "./retry.ts";

export interface Upload {
  /** The path of the repository's uploads. */
  readonly path: string;
  readonly scopes: readonly string[];
  readonly descriptor: Pick<Descriptor, "digest" | "size">;
  readonly open: () => AsyncIterable<Uint8Array>;
  readonly onBytes: (count: number) => void;
}

export async function uploadBlob(endpoint: Endpoint, upload: Upload, options: ClientOptions): Promise<void> {
  let hasFreshToken = false;
  await retrying(options.timing, options.signal, async () => {
    try {
      await uploadOnce(endpoint, upload);
    } catch (error) {
      // A token may run out between the two requests, and the body cannot be sent twice.
      if (!isUnauthorized(error) || hasFreshToken) throw error;
      hasFreshToken = true;
      await uploadOnce(endpoint, upload);
    }
  });
}

async function uploadOnce(endpoint: Endpoint, { path, scopes, descriptor, open, onBytes }: Upload): Promise<void> {
  const { digest, size } = descriptor;
  const place = await endpoint.request(
    { method: "POST", path, scopes, accept: [202], once: true },
    async (response) => {
      await response.discard();
      return placeOf(response.headers.get("location") ?? "", response.url, digest);
    },
  );
  const pieces = counting(open(), descriptor, onBytes); // fetch ends the iterator, also when the answer comes early
  await endpoint.request({
    method: "PUT",
    path: place,
    headers: { "Content-Type": "application/octet-stream" },
    body: size === 0 ? "" : { sizeBytes: size, pieces },
    scopes,
    accept: [200, 201],
    once: true,
  });
}

/**
 * The URL to upload to. A registry behind a proxy that ends TLS may believe that it speaks HTTP: then the same server is assumed.
 * @throws LighterError ("unavailable") if it is another server, or there is no Location.
 */
function placeOf(location: string, requestUrl: string, digest: string): string {
  const fail = (why: string): LighterError =>
    new LighterError("unavailable", `upload blob ${digest} to ${new URL(requestUrl).host}: ${why}`);
  if (location === "" || !URL.canParse(location, requestUrl)) throw fail("the registry named no valid place for it");
  const from = new URL(requestUrl);
  const place = new URL(location, from);
  if (from.protocol === "https:" && place.protocol === "http:") {
    if (place.hostname !== from.hostname) throw fail(`the registry names a place without TLS, at ${place.host}`);
    place.protocol = "https:";
    place.port = from.port;
  }
  place.searchParams.set("digest", digest);
  return place.href;
}

/** Counts the bytes. @throws LighterError ("invalid") for more or fewer than the descriptor says. */
async function* counting(
  pieces: AsyncIterable<Uint8Array>,
  { digest, size }: Upload["descriptor"],
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array, void> {
  let count = 0;
  const wrong = (): LighterError =>
    new LighterError("invalid", `upload blob ${digest}: ${count} bytes of it were read, and it should have ${size}`);
  for await (const piece of pieces) {
    count += piece.length;
    if (count > size) throw wrong();
    yield piece;
    onBytes(count);
  }
  if (count < size) throw wrong();
}
