import { type Context, defineCommand } from "../command.ts";
import { downloadTo } from "../copy/output-file.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeQuery } from "../http/client.ts";

const flags = { output: stringFlag("Write to this file instead of stdout", { short: "o" }) };

export const command = defineCommand({
  name: "save",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Save one or more images to a tar archive (streamed to stdout by default)",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const path = `/images/get${encodeQuery({ names: args })}`;
  await downloadTo(values.output, () => client.request({ method: "GET", path }), "failed to save image");
  return 0;
}
