import { familiarName, formatReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { showProgress } from "../format/json-messages.ts";
import { encodeName, encodeQuery } from "../http/client.ts";
import { serverOf } from "../login/credentials.ts";
import { requestWithCredentials } from "../login/registry-request.ts";
import { printLine, stdout } from "../output.ts";

const flags = {
  "all-tags": boolFlag("Push every tag of the repository", { short: "a" }),
  "disable-content-trust": boolFlag("Accepted for compatibility", { initial: true }),
  quiet: boolFlag("Do not show progress", { short: "q" }),
};

export const command = defineCommand({
  name: "push",
  usage: "[OPTIONS] NAME[:TAG]",
  summary: "Upload an image to a registry",
  flags,
  args: { min: 1, max: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const { "all-tags": all, quiet } = values;
  const named = parseReference(args[0] ?? "");
  const bare = named.tag === undefined && named.digest === undefined;
  if (all && !bare) throw new CliError("tag can't be used with --all-tags/-a");
  const reference = all ? named : withDefaultTag(named);
  if (bare && !all && !quiet) await printLine(`Using default tag: ${reference.tag}`);
  if (reference.digest !== undefined) throw new CliError("cannot push a digest reference");
  const path = `/images/${encodeName(familiarName(reference))}/push${encodeQuery({ tag: reference.tag })}`;
  const response = await requestWithCredentials(client, { method: "POST", path }, serverOf(reference), "push");
  await showProgress(response, quiet ? undefined : { stream: stdout, fd: 1 });
  if (quiet) await printLine(formatReference(reference));
  return 0;
}
