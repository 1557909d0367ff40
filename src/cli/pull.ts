import { type Client, encodeQuery } from "./client.ts";
import { parseImageReference } from "./image-reference.ts";
import { printJsonMessages } from "./json-messages.ts";
import { stderr } from "./output.ts";

/** Asks the daemon to fetch an image, showing its progress on stderr. @throws ApiError, or Error from the stream */
export async function pullImage(client: Client, image: string, platform: string, quiet: boolean): Promise<void> {
  const reference = parseImageReference(image);
  const query = {
    fromImage: reference?.name ?? image,
    tag: reference?.digest ?? reference?.tag,
    platform: platform || undefined,
  };
  const response = await client.request({ method: "POST", path: `/images/create${encodeQuery(query)}` });
  await printJsonMessages(response, (text) => (quiet ? undefined : stderr.text(text)));
}
