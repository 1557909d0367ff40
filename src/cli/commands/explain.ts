import { goQuote } from "../../base/go-escapes.ts";
import type { Explanation } from "../../spec/explanation.ts";
import { type Context, defineCommand, runCommand } from "../command.ts";
import { bodyFromFlags } from "../containers/create.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, parseFlags, stringFlag } from "../flags.ts";
import { encodeQuery, parseJson } from "../http/client.ts";
import { stdout } from "../output.ts";
import { copyPlain } from "../streams/stream.ts";
import { flags as runFlags } from "./run.ts";

const { "trace-output": _, ...startFlags } = runFlags;
const flags = {
  ...startFlags,
  build: boolFlag("Say which steps of a build are cached, and why the others are not: --build [OPTIONS of build] PATH"),
  diff: stringFlag('Say what other flags would change: --diff "--memory 64m --read-only"', { type: "FLAGS" }),
  format: stringFlag('Print "json" in place of a page'),
  trace: boolFlag("Start the container once, remove it, and say how long each step took"),
  verbose: boolFlag("Print every op in full, on a line of its own"),
};

export const command = defineCommand({
  name: "explain",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...] | --build [OPTIONS] PATH",
  summary: "Print the system calls that would start a container, without starting it",
  flags,
  args: { min: 1 },
  interspersed: false,
  // What follows is for build, and may begin with flags.
  prepare: (argv) => (argv[0] === "--build" ? ["--build", "--", ...argv.slice(1)] : argv),
  run,
});

type Parsed = ParsedFlags<typeof flags>;

async function run(context: Context, parsed: Parsed): Promise<number> {
  const { build, diff, format, verbose } = parsed.values;
  if (build) {
    const { command: build } = await import("./build.ts");
    return await runCommand(build, context, ["--call=explain", ...parsed.args]);
  }
  if (format !== "" && format !== "json") throw new CliError(`"${format}" is no format of explain: it has "json"`);
  if (verbose) await copyPlain(await ask(context, parsed));
  else if (format === "json") await stdout.text(`${JSON.stringify(await explain(context, parsed))}\n`);
  else await stdout.control(await pageOf(context, parsed, diff));
  return 0;
}

async function pageOf(context: Context, parsed: Parsed, diff: string): Promise<string> {
  const [{ differencePage, explainPage }, { pageOptionsOf }] = await Promise.all([
    import("../explain/page.ts"),
    import("../format/look.ts"),
  ]);
  const options = await pageOptionsOf(1);
  const explanation = await explain(context, parsed);
  if (diff === "") return explainPage(explanation, options);
  return differencePage(explanation, await explain(context, await withFlags(parsed, diff)), options);
}

/** The same command line with further flags. */
async function withFlags(parsed: Parsed, more: string): Promise<Parsed> {
  const { splitShellWords } = await import("../complete/shell-words.ts");
  const words = splitShellWords(`${more} `).slice(0, -1);
  const { values, given, args } = parseFlags("explain", flags, words, true, parsed);
  if (args.length > 0) throw new CliError(`--diff takes flags alone, and ${goQuote(args[0]!)} is none`);
  return { values, given, args: parsed.args };
}

async function explain(context: Context, parsed: Parsed): Promise<Explanation> {
  return parseJson<Explanation>(await (await ask(context, parsed, "json")).text());
}

function ask({ client }: Context, { values, ...parsed }: Parsed, format?: string) {
  const body = bodyFromFlags("explain", values, { values, ...parsed });
  const query = encodeQuery({
    ...{ name: values.name || undefined, platform: values.platform || undefined, format },
    trace: values.trace ? "1" : undefined,
  });
  return client.request({ method: "POST", path: `/lighter/explain${query}`, json: JSON.stringify(body) });
}
