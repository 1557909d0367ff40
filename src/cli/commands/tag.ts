import { messageOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { familiarName, parseReference, parseUnlessId, withDefaultTag } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import type { ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = {};

export const command = defineCommand({
  name: "tag",
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  flags,
  args: { min: 2, max: 2 },
  run,
});

async function run({ client }: Context, { args }: ParsedFlags<typeof flags>): Promise<number> {
  const [source = "", target = ""] = args;
  explained(source, parseUnlessId);
  const named = withDefaultTag(explained(target, parseReference));
  if (named.digest !== undefined) throw new CliError("refusing to create a tag with a digest reference");
  await client.postEmpty(`/images/${encodeName(source)}/tag`, { repo: familiarName(named), tag: named.tag });
  return 0;
}

function explained<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new CliError(`Error parsing reference: ${goQuote(text)} is not a valid repository/tag: ${messageOf(error)}`);
  }
}
