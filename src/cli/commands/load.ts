import { type Context, defineCommand } from "../command.ts";
import { fileChunks, stdinChunks } from "../copy/input-file.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { showProgress } from "../format/json-messages.ts";
import { encodeQuery } from "../http/client.ts";
import { stdout } from "../output.ts";

const flags = {
  input: stringFlag("Read from this file instead of stdin", { short: "i" }),
  quiet: boolFlag("Do not show progress", { short: "q" }),
};

export const command = defineCommand({
  name: "load",
  usage: "[OPTIONS]",
  summary: "Load an image from a tar archive or stdin",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const { isTerminal } = await import("../../linux/sys/tty.ts");
  if (values.input === "" && isTerminal(0)) throw new CliError("requested load from stdin, but stdin is empty");
  const chunks = values.input === "" ? stdinChunks() : fileChunks(values.input);
  const quiet = values.quiet || !isTerminal(1);
  const response = await client.request({
    method: "POST",
    path: `/images/load${encodeQuery({ quiet: quiet ? "1" : "0" })}`,
    stream: { contentType: "application/x-tar", chunks },
  });
  if (response.head.headers.get("content-type")?.startsWith("application/json") === true)
    await showProgress(response, { stream: stdout, fd: 1 });
  else await stdout.text(await response.text());
  return 0;
}
