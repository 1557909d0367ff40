/** Completion as a user has it: a real bash asks the program, which asks a daemon. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { TerminalSession } from "../../../tests/support/terminal.ts";
import { testIf } from "../../../tests/support/test-if.ts";
import type { Command, CommandTable } from "../command.ts";
import { COMMANDS } from "../commands.ts";
import { Client } from "../http/client.ts";
import { complete, FLAG_VALUES } from "./completion.ts";
import { COMPLETION_SCRIPTS } from "./completion-scripts.ts";
import { splitShellWords } from "./shell-words.ts";

let folder: string;
let server: Server;
let client: Client;
let host: string;
/** Paths that were asked for. */
let asked: string[] = [];

const ANSWERS: Readonly<Record<string, unknown>> = {
  "/containers/json": [{ Names: ["/web", "/db/alias"] }, { Names: ["/worker"] }, { Names: null }],
  "/images/json": [{ RepoTags: ["busybox:latest", "reg.example:5000/web:1"] }, { RepoTags: ["<none>:<none>"] }],
  "/networks": [{ Name: "bridge" }, { Name: "back" }],
  "/volumes": { Volumes: [{ Name: "data" }, { Name: "web" }] },
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lighter-completion-"));
  const socketPath = join(folder, "daemon.sock");
  host = `unix://${socketPath}`;
  server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const path = new URL(request.url ?? "", "http://x").pathname.replace(/^\/v1\.\d+/, "");
    response.end(JSON.stringify(ANSWERS[path]));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  client = new Client({ name: host, address: { unix: socketPath } });
  const main = join(import.meta.dirname, "../../main.ts");
  const command = `exec ${process.execPath} --no-env-file --config=/dev/null ${main} "$@"`;
  writeFileSync(join(folder, "lighter"), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function words(line: string): Promise<string[]> {
  asked = [];
  const { candidates, directive } = await complete(line.split(" "), COMMANDS, client);
  return [...candidates.map(({ word }) => word), ...(directive === undefined ? [] : [`:${directive}`])];
}

describe("what is offered", () => {
  test.each<[line: string, offered: string[]]>([
    ["sto", ["stop"]],
    ["--deb", ["--debug"]],
    ["-H x sto", ["stop"]],
    ["-H ", []],
    ["container sta", ["start", "stats"]],
    ["help container sta", ["start", "stats"]],
    ["nope ", []],
    ["volume nope ", []],
    ["logs --ta", ["--tail"]],
    ["logs --he", ["--help"]],
    ["logs w", ["web", "worker"]],
    ["logs -n 3 -f wo", ["worker"]],
    ["logs -n ", []],
    ["logs web ", []],
    ["logs -- --ta", []],
    ["rm web wo", ["worker"]],
    ["rename we", ["web"]],
    ["rename web ", []],
    ["run bus", ["busybox:latest"]],
    ["run -it reg.example:5000/", ["reg.example:5000/web:1"]],
    ["run busybox ", []],
    ["run busybox --na", []],
    ["run --network ba", ["back"]],
    ["run --net ba", ["back"]],
    ["run --network=br", ["--network=bridge"]],
    ["run --pull ", ["always", "missing", "never"]],
    ["run --env-file ", [":files"]],
    ["run -itv ", ["data:", "web:", ":nospace"]],
    ["run -v da", ["data:", ":nospace"]],
    ["run -v /wor", [":files"]],
    ["run --volume=/wor", [":files"]],
    ["run -v ~/wor", [":files"]],
    ["run -v other", [":files"]],
    ["run -v /work:/da", []],
    ["run --device /dev/n", [":files"]],
    ["tag a bus", ["busybox:latest"]],
    ["network connect ba", ["back"]],
    ["network connect back w", ["web", "worker"]],
    ["network create ba", []],
    ["volume create da", []],
    ["volume rm data w", ["web"]],
    ["inspect w", ["web", "worker"]],
    ["inspect b", ["busybox:latest", "bridge", "back"]],
    ["cp w", ["web:", "worker:", ":nospace"]],
    ["cp ./w", [":files"]],
    ["cp web:/x ", ["web:", "worker:", ":nospace"]],
    ["cp x", [":files"]],
    ["import ", [":files"]],
    ["completion f", ["fish"]],
    ["system df ", []],
  ])("%s", async (line, offered) => {
    expect(await words(line)).toEqual(offered);
  });

  test("every command of the tables, and none that is hidden", async () => {
    const check = async (table: CommandTable, before: string) => {
      const shown = Object.entries(table).filter(([, entry]) => entry.hidden !== true);
      expect(await words(before)).toEqual(shown.map(([name]) => name));
      for (const [name, entry] of shown) {
        const loaded = await entry.load();
        if ("group" in loaded) await check(loaded.group.commands, `${before}${name} `);
        else {
          const flags = Object.entries(loaded.command.flags).filter(
            ([, flag]) => (flag as { hidden?: true }).hidden !== true,
          );
          const offered = new Set(["--help", ...flags.map(([flag]) => `--${flag}`)]);
          expect(await words(`${before}${name} --`)).toEqual([...offered].sort());
        }
      }
    };
    await check(COMMANDS, "");
  });

  test("stop is offered what runs, start what does not", async () => {
    await words("stop ");
    expect(decodeURIComponent(asked[0] ?? "")).toContain('{"status":{"running":true}}');
    await words("start ");
    expect(decodeURIComponent(asked[0] ?? "")).toContain('{"status":{"created":true,"exited":true}}');
  });

  test("without a daemon there are no names", async () => {
    const nobody = new Client({ name: "", address: { unix: join(folder, "nobody.sock") } });
    expect(await complete(["logs", ""], COMMANDS, nobody)).toEqual({ candidates: [] });
  });

  test("flags with known values are flags of some command", async () => {
    const known = new Set<string>();
    const collect = async (table: CommandTable) => {
      for (const { load } of Object.values(table)) {
        const loaded = await load();
        if ("group" in loaded) await collect(loaded.group.commands);
        else for (const name of Object.keys((loaded.command as Command).flags)) known.add(name);
      }
    };
    await collect(COMMANDS);
    expect(Object.keys(FLAG_VALUES).filter((name) => !known.has(name))).toEqual([]);
  });
});

test.each<[line: string, words: string[]]>([
  ["", [""]],
  ["a", ["a"]],
  ["a ", ["a", ""]],
  ["a  b\tc", ["a", "b", "c"]],
  [`a 'b c' "d e" f\\ g`, ["a", "b c", "d e", "f g"]],
  [`a "b 'c`, ["a", "b 'c"]],
  [`a '' "" b`, ["a", "", "", "b"]],
  ["x; y z", ["y", "z"]],
  ["x | y && z w", ["z", "w"]],
  ["a b\\", ["a", "b"]],
  [`a "b\\"c`, ["a", 'b"c']],
])("splitShellWords(%p)", (line, split) => {
  expect(splitShellWords(line)).toEqual(split);
});

describe("bash", () => {
  /** What bash makes of `line` when its tab key is pressed at the end: COMPREPLY. */
  async function replies(line: string): Promise<string[]> {
    const cut = line.split(/\s+|(?<=[:=])|(?=[:=])/); // COMP_WORDBREAKS, as far as these lines have them
    const script = `${COMPLETION_SCRIPTS.bash}
COMP_LINE=$1 COMP_POINT=\${#1}
shift
COMP_WORDS=("$@")
compopt() { echo "compopt $*"; }
_lighter
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const argv = ["--norc", "-c", script, "bash", line, ...cut];
    // The daemon is in this process: it must go on meanwhile.
    const { stdout, stderr } = await promisify(execFile)("bash", argv, {
      env: { PATH: `${folder}:${process.env.PATH}`, DOCKER_HOST: host },
    });
    expect(stderr).toBe("");
    return stdout.split("\n").filter((text) => text !== "");
  }

  test.each<[line: string, offered: string[]]>([
    ["lighter sto", ["stop"]],
    ["lighter logs w", ["web", "worker"]],
    ["lighter run reg.example:50", ["5000/web:1"]],
    ["lighter run --network=ba", ["back"]],
    ["lighter cp w", ["compopt -o nospace", "web:", "worker:"]],
    ["lighter load -i ", ["compopt -o default"]],
  ])("%s", async (line, offered) => {
    expect(await replies(line)).toEqual(offered);
  });

  test("the tab key in an interactive shell", async () => {
    const session = new TerminalSession(["bash", "--norc", "--noprofile", "-i"], {
      env: { PATH: `${folder}:${process.env.PATH}`, DOCKER_HOST: host, PS1: "ready> " },
    });
    try {
      await session.shows("ready> ");
      session.type("source <(lighter completion bash); echo load'ed'\r");
      await session.shows("loaded\r\n");
      session.type("echo lighter; lighter logs wor\t");
      await session.shows("lighter logs worker ");
      session.type("\x15lighter run reg.exam\t");
      await session.shows("lighter run reg.example:5000/web:1 ");
      mkdirSync(join(folder, "workshop"));
      session.type(`\x15lighter run -v ${folder}/worksh\t`);
      await session.shows(`lighter run -v ${folder}/workshop/`);
    } finally {
      session.close();
    }
  });
});

testIf(Bun.which("zsh") !== null, "needs zsh")("zsh: the tab key in an interactive shell", async () => {
  const session = new TerminalSession(["zsh", "-f", "-i"], {
    env: { PATH: `${folder}:${process.env.PATH}`, DOCKER_HOST: host, PS1: "ready> " },
  });
  try {
    await session.shows("ready> ");
    session.type("autoload -U compinit; compinit -u -D; source <(lighter completion zsh); echo load'ed'\r");
    await session.shows("loaded\r\n");
    session.type("lighter run reg.exam\t");
    await session.shows("reg.example:5000/web:1");
  } finally {
    session.close();
  }
});

testIf(Bun.which("fish") !== null, "needs fish")("fish: candidates with their descriptions", async () => {
  const script =
    'lighter completion fish | source; complete -C "lighter container sto"; complete -C "lighter logs wor"';
  const { stdout } = await promisify(execFile)("fish", ["--no-config", "-c", script], {
    env: { PATH: `${folder}:${process.env.PATH}`, DOCKER_HOST: host, HOME: folder },
  });
  expect(stdout).toBe("stop\tStop one or more running containers\nworker\n");
});
