import { familiarName, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { printLine } from "../output.ts";

const flags = {
  author: stringFlag("Author of the image (Name <mail>)", { short: "a" }),
  change: listFlag("Dockerfile instruction for the image's configuration", { short: "c" }),
  message: stringFlag("Comment in the image's history", { short: "m" }),
  pause: boolFlag("Pause the container meanwhile", { short: "p", initial: true }),
};

export const command = defineCommand({
  name: "commit",
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  summary: "Create a new image from a container's changes",
  flags,
  args: { min: 1, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [container = "", name = ""] = args;
  const reference = name === "" ? undefined : withDefaultTag(parseReference(name));
  if (reference?.digest !== undefined) throw new CliError("refusing to create a tag with a digest reference");
  const { Id } = await client.postJson<{ Id: string }>("/commit", {
    author: values.author,
    changes: values.change,
    comment: values.message,
    container,
    pause: values.pause ? undefined : "0",
    repo: reference === undefined ? "" : familiarName(reference),
    tag: reference?.tag ?? "",
  });
  await printLine(Id);
  return 0;
}
