import { formatReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { showProgress } from "../format/json-messages.ts";
import { requestPull } from "../images/pull.ts";
import { printLine, stdout } from "../output.ts";

const flags = {
  "all-tags": boolFlag("Pull every tag of the repository", { short: "a" }),
  "disable-content-trust": boolFlag("Accepted for compatibility", { initial: true }),
  platform: stringFlag("Platform of the image (os/arch)"),
  quiet: boolFlag("Do not show progress", { short: "q" }),
};

export const command = defineCommand({
  name: "pull",
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  flags,
  args: { min: 1, max: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const { "all-tags": all, platform, quiet } = values;
  const named = parseReference(args[0] ?? "");
  const bare = named.tag === undefined && named.digest === undefined;
  if (all && !bare) throw new CliError("tag can't be used with --all-tags/-a");
  const reference = all ? named : withDefaultTag(named);
  if (bare && !all && !quiet) await printLine(`Using default tag: ${reference.tag}`);
  const response = await requestPull(client, { reference, all, platform }, "pull");
  await showProgress(response, quiet ? undefined : { stream: stdout, fd: 1 });
  await printLine(formatReference(reference));
  return 0;
}
