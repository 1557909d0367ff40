import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { parseTimestamp } from "../format/time.ts";
import { encodeName, encodeQuery } from "../http/client.ts";
import { copyOutput } from "../streams/stream.ts";

const flags = {
  details: boolFlag("Show the attributes that log options ask for"),
  follow: boolFlag("Go on with what is written from now on", { short: "f" }),
  since: stringFlag("Only from this time on (2013-01-02T13:23:37Z, or 42m ago)"),
  tail: stringFlag("Number of lines to show from the end", { short: "n", initial: "all" }),
  timestamps: boolFlag("Show when each line was written", { short: "t" }),
  until: stringFlag("Only up to this time (2013-01-02T13:23:37Z, or 42m ago)"),
};

export const command = defineCommand({
  name: "logs",
  usage: "[OPTIONS] CONTAINER",
  summary: "Fetch the logs of a container",
  flags,
  args: { min: 1, max: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const name = encodeName(args[0] ?? "");
  const { Id, Config } = await client.get<{ Id: string; Config: { Tty: boolean } }>(`/containers/${name}/json`);
  const query = encodeQuery({
    details: values.details ? "1" : undefined,
    follow: values.follow ? "1" : undefined,
    since: timestamp("since", values.since),
    stderr: "1",
    stdout: "1",
    tail: values.tail,
    timestamps: values.timestamps ? "1" : undefined,
    until: timestamp("until", values.until),
  });
  const response = await client.request({ method: "GET", path: `/containers/${Id}/logs${query}` });
  await copyOutput(response, Config.Tty);
  return 0;
}

function timestamp(flag: string, text: string): string | undefined {
  if (text === "") return undefined;
  try {
    return parseTimestamp(text, Date.now());
  } catch (error) {
    throw new Error(`invalid value for "${flag}": ${messageOf(error)}`);
  }
}
