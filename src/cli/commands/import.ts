import { type Context, defineCommand } from "../command.ts";
import { fileChunks, stdinChunks } from "../copy/input-file.ts";
import { listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { importImage } from "../images/import-image.ts";

const flags = {
  change: listFlag("Dockerfile instruction for the image's configuration", { short: "c" }),
  message: stringFlag("Comment in the image's history", { short: "m" }),
  platform: stringFlag("Platform of the image (os/arch)"),
};

export const command = defineCommand({
  name: "import",
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  summary: "Create an image from a tar archive of files",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [from = "", name = ""] = args;
  const isUrl = /^https?:\/\//.test(from);
  const source = from === "-" ? stdinChunks() : isUrl ? from : fileChunks(from);
  const { change, message, platform } = values;
  await importImage(client, { source, name, changes: change, message, platform });
  return 0;
}
