/** Makes an image from an archive of files; `import` and `image bootstrap` share this. */
import { parseReference } from "../../spec/image-reference.ts";
import { showProgress } from "../format/json-messages.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import { stdout } from "../output.ts";

interface ImportRequest {
  /** The archive, or a URL that the daemon downloads. */
  readonly source: AsyncIterable<Uint8Array> | string;
  /** Name of the image, "" for none. */
  readonly name: string;
  readonly changes: readonly string[];
  readonly message: string;
  readonly platform: string;
}

/**
 * Makes an image from an archive of files and prints its ID.
 * @throws ApiError, or whatever `source` throws
 */
export async function importImage(client: Client, request: ImportRequest): Promise<void> {
  const { source, name, changes, message, platform } = request;
  if (name !== "") parseReference(name); // checked first: a bad name is an error before the upload
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
