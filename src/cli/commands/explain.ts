import { encodeQuery } from "../client.ts";
import { type Context, defineCommand } from "../command.ts";
import { bodyFromFlags } from "../create.ts";
import type { ParsedFlags } from "../flags.ts";
import { copyPlain } from "../stream.ts";
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
