/** What the tests of the registry client share. */
import type { Digest } from "../../src/base/ids.ts";
import { type BlobSource, type ClientOptions, openBlob, RegistryClient } from "../../src/image/registry/mod.ts";
import type { FakeRegistry } from "../support/fake-registry.ts";

/** Retries at once, and few of them; stalls are noticed late enough for a busy machine. */
export const timing = { attempts: 3, pauseMs: 1, stallMs: 400, commitMs: 400 };
export const config = { certificatesPath: "/nonexistent" };

export function openClient(registry: FakeRegistry, path: string, options: ClientOptions = {}): Promise<RegistryClient> {
  return RegistryClient.open(config, { domain: registry.host, path }, { timing, ...options });
}

export function sourceOf(registry: FakeRegistry, digest: string, sizeBytes: number): BlobSource {
  return {
    digest: digest as Digest,
    sizeBytes,
    endpoints: [{ url: `${registry.url}/v2/a/blobs/${digest}`, tls: {} }],
  };
}

export async function readBlob(source: BlobSource, offset = 0): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of openBlob(source, offset, { timing })) pieces.push(piece);
  return Buffer.concat(pieces);
}
