/** `--trace`: has the daemon note what it does for a command's requests, and shows that. */
import { VERSION } from "../../base/version.ts";
import { encodeTracesAsJson } from "../../spec/otlp.ts";
import { KEEP_TRACE_HEADER, type Trace } from "../../spec/trace.ts";
import { formatTraceparent } from "../../spec/trace-context.ts";
import { CliError } from "../exit.ts";
import { waterfall } from "../explain/waterfall.ts";
import { pageOptionsOf } from "../format/look.ts";
import { type Client, parseJson } from "../http/client.ts";
import { stderr } from "../output.ts";

const randomHex = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");

/** Marks all further requests as those of one trace. Returns its id. */
export function traceRequests(client: Client): string {
  const traceId = randomHex(16);
  const traceparent = formatTraceparent({ traceId, spanId: randomHex(8), isSampled: true });
  client.headers = { traceparent, [KEEP_TRACE_HEADER]: "1" };
  return traceId;
}

/** Prints the trace on stderr or, if `path` is not "", writes it to that file. */
export async function showTrace(client: Client, traceId: string, path: string): Promise<void> {
  client.headers = {};
  const { spans } = parseJson<Trace>(await client.getText(`/lighter/traces/${traceId}`));
  if (path === "") return await stderr.control(waterfall(spans, await pageOptionsOf(2)));
  const source = { resource: { "service.name": "lighter" }, scope: { name: "lighter", version: VERSION } };
  const text = encodeTracesAsJson(
    source,
    spans.map((span) => ({ ...span, traceId, traceState: "" })),
  );
  const { writeFileSync } = await import("node:fs");
  try {
    writeFileSync(path, `${text}\n`);
  } catch (error) {
    throw new CliError(`write the trace: ${error instanceof Error ? error.message : String(error)}`);
  }
}
