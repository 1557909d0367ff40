import { parseReference } from "../../spec/image-reference.ts";
import { showProgress } from "../format/json-messages.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import { stdout } from "../output.ts";

interface ImportRequest {
  /** The archive, or the URL where the daemon finds it. */
  readonly source: AsyncIterable<Uint8Array> | string;
  /** "" for none. */
  readonly name: string;
  readonly changes: readonly string[];
  readonly message: string;
  readonly platform: string;
}

/** Makes an image of an archive of files and prints its ID. @throws ApiError, or what `source` throws */
export async function importImage(client: Client, request: ImportRequest): Promise<void> {
  const { source, name, changes, message, platform } = request;
  if (name !== "") parseReference(name); // a bad name is an error before the upload
  const query = encodeQuery({
    changes,
    fromSrc: typeof source === "string" ? source : "-",
    message,
    platform: platform.toLowerCase() || undefined,
    repo: name,
    tag: "",
  });
  const stream = typeof source === "string" ? {} : { stream: { contentType: "application/x-tar", chunks: source } };
  const response = await client.request({ method: "POST", path: `/images/create${query}`, ...stream });
  await showProgress(response, { stream: stdout, fd: 1 });
}
