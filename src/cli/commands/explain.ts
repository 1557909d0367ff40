import { type Context, defineCommand } from "../command.ts";
import { bodyFromFlags } from "../containers/create.ts";
import type { ParsedFlags } from "../flags.ts";
import { encodeQuery } from "../http/client.ts";
import { copyPlain } from "../streams/stream.ts";
import { flags } from "./run.ts";

export const command = defineCommand({
  name: "explain",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Print the system calls that would start a container, without starting it",
  flags,
  args: { min: 1 },
  interspersed: false,
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof flags>): Promise<number> {
  const body = bodyFromFlags("explain", parsed.values, parsed);
  const query = encodeQuery({ name: parsed.values.name || undefined, platform: parsed.values.platform || undefined });
  await copyPlain(
    await client.request({ method: "POST", path: `/lighter/explain${query}`, json: JSON.stringify(body) }),
  );
  return 0;
}
