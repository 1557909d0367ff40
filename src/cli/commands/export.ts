import { type Context, defineCommand } from "../command.ts";
import { downloadTo } from "../copy/output-file.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = { output: stringFlag("Write to this file instead of stdout", { short: "o" }) };

export const command = defineCommand({
  name: "export",
  usage: "[OPTIONS] CONTAINER",
  summary: "Export a container's file system as a tar archive",
  flags,
  args: { min: 1, max: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const path = `/containers/${encodeName(args[0] ?? "")}/export`;
  await downloadTo(values.output, () => client.request({ method: "GET", path }), "failed to export container");
  return 0;
}
