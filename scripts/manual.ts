/** Makes the manual pages from the flag tables of the command line, the daemon and the runtime. */
import { SETTINGS } from "../src/api/config/settings.ts";
import { VERSION } from "../src/base/version.ts";
import type { Command, CommandTable } from "../src/cli/command.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import type { FlagTable } from "../src/cli/flags.ts";
import { globalFlags } from "../src/cli/global-flags.ts";

export interface ManualPage {
  /** The file's name, such as "lighter-run.1". */
  readonly name: string;
  /** The page's text in roff's man macros. */
  readonly text: string;
}

interface Option {
  readonly names: readonly string[];
  readonly value: string;
  readonly help: string;
}

/** All pages: one for the program, one for each command and group, and those of the daemon and the runtime. */
export async function manualPages(runtimeHelp: string): Promise<ManualPage[]> {
  return [
    programPage(),
    ...(await pagesOf(COMMANDS, "lighter", new Map())),
    daemonPage(),
    { name: "lighterd.8", text: ".so man8/lighter-daemon.8\n" },
    page("lighter-runtime", 8, "OCI runtime", [
      section("SYNOPSIS", "\\fBlighter\\-runtime\\fR [global options] command [command options] [arguments...]"),
      section("DESCRIPTION", `.nf\n${roff(runtimeHelp.trim())}\n.fi`),
    ]),
  ];
}

function programPage(): ManualPage {
  const summary = "Run containers on Linux";
  return page("lighter", 1, summary, [
    section("SYNOPSIS", "\\fBlighter\\fR [OPTIONS] COMMAND"),
    section("DESCRIPTION", `${roff(summary)}. Each command has a page of its own, lighter\\-COMMAND(1).`),
    section("COMMANDS", commandList(COMMANDS)),
    section("OPTIONS", optionList(flagOptions(globalFlags))),
    section("SEE ALSO", "\\fBlighter\\-daemon\\fR(8), \\fBlighter\\-runtime\\fR(8)"),
  ]);
}

/** The pages of a table's commands. If a command has several names, all but the first page refer to that one. */
async function pagesOf(table: CommandTable, before: string, seen: Map<Command["run"], string>): Promise<ManualPage[]> {
  const pages: ManualPage[] = [];
  for (const [name, { load, hidden }] of Object.entries(table)) {
    if (hidden) continue;
    const title = `${before}-${name}`;
    const loaded = await load();
    if ("group" in loaded) {
      const { summary, commands } = loaded.group;
      pages.push(
        page(title, 1, summary, [
          section("SYNOPSIS", `${bold(title.replaceAll("-", " "))} COMMAND`),
          section("COMMANDS", commandList(commands)),
        ]),
        ...(await pagesOf(commands, title, seen)),
      );
      continue;
    }
    const { command } = loaded;
    const first = seen.get(command.run);
    if (first === undefined) pages.push(commandPage(title, command));
    else pages.push({ name: `${title}.1`, text: `.so man1/${first}.1\n` });
    seen.set(command.run, first ?? title);
  }
  return pages;
}

function commandPage(title: string, command: Command): ManualPage {
  const details = command.details === undefined ? "" : `\n.PP\n.nf\n${roff(command.details)}\n.fi`;
  const options = flagOptions(command.flags);
  return page(title, 1, command.summary, [
    section("SYNOPSIS", `${bold(`lighter ${command.name}`)} ${roff(command.usage)}`),
    section("DESCRIPTION", `${roff(command.summary)}.${details}`),
    ...(options.length === 0 ? [] : [section("OPTIONS", optionList(options))]),
    section("SEE ALSO", "\\fBlighter\\fR(1)"),
  ]);
}

function daemonPage(): ManualPage {
  const options = Object.entries(SETTINGS).map(([key, { kind, help, flag = key, short, reloads }]) => ({
    names: [...(short === undefined ? [] : [`-${short}`]), `--${flag}`],
    value: kind.value ?? "",
    help: `${help}${reloads === true ? " (SIGHUP makes a new value count)" : ""}`,
  }));
  return page("lighter-daemon", 8, "serve the Docker Engine API and keep the state of containers and images", [
    section("SYNOPSIS", "\\fBlighter daemon\\fR [OPTIONS]"),
    section(
      "DESCRIPTION",
      "Containers do not need the daemon: it may be ended at any time, even by SIGKILL, and the next one takes over. Each option is" +
        "\nalso a key of the configuration file, in the form of Docker's daemon.json; lists have their name in the plural there.",
    ),
    section("OPTIONS", optionList(options)),
    section("FILES", "\\fI/etc/lighter/daemon.json\\fR, \\fI/var/lib/lighter\\fR, \\fI/run/lighter/lighter.sock\\fR"),
    section("SEE ALSO", "\\fBlighter\\fR(1)"),
  ]);
}

function flagOptions(table: FlagTable): Option[] {
  return Object.entries(table)
    .filter(([, { hidden }]) => hidden !== true)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { short, type, help, shown }]) => ({
      names: [...(short === undefined ? [] : [`-${short}`]), `--${name}`],
      value: type,
      help: shown === undefined ? help : `${help} (default ${shown})`,
    }));
}

function optionList(options: readonly Option[]): string {
  const line = ({ names, value, help }: Option) => {
    const shown = value === "" ? "" : ` \\fI${roff(value)}\\fR`;
    return `.TP\n${names.map(bold).join(", ")}${shown}\n${roff(help)}`;
  };
  return options.map(line).join("\n");
}

function commandList(table: CommandTable): string {
  return Object.entries(table)
    .filter(([, { hidden }]) => hidden !== true)
    .map(([name, { summary }]) => `.TP\n${bold(name)}\n${roff(summary)}`)
    .join("\n");
}

function page(name: string, chapter: number, summary: string, sections: readonly string[]): ManualPage {
  const head = `.TH ${roff(name.toUpperCase())} ${chapter} "" "Lighter ${VERSION}" "Lighter"`;
  const parts = [head, section("NAME", `${roff(name)} \\- ${roff(summary)}`), ...sections];
  return { name: `${name}.${chapter}`, text: `${parts.join("\n")}\n` };
}

const section = (title: string, body: string) => `.SH ${title}\n${body}`;
const bold = (text: string) => `\\fB${roff(text)}\\fR`;

/**
 * The text escaped for roff: a backslash would begin an escape, a dot or quote at the beginning of a line a request, and "-"
 * would be a hyphen.
 */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
}
