/** What the workers need of the registry client. */
import { LighterError } from "../../base/errors.ts";

export type BlobSource = object;

export function openBlob(_source: BlobSource, _offset: number, _signal: AbortSignal): AsyncIterable<Uint8Array> {
  throw new LighterError("not-supported", "pulling images is not available yet");
}
