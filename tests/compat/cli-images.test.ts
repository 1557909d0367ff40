/**
 * Images and registries on the command line: both clients do the same against one dockerd, a registry beside it, and a
 * server that plays a recorded progress stream.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { eventually } from "../support/eventually.ts";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, type Outcome, PrivateDocker, renamed, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker() ?? (hasDockerRegistry ? undefined : "needs docker-registry");
const PASSWORD = "pass:word+ü";
const DIGEST = `sha256:${"ab".repeat(32)}`;

let docker: PrivateDocker;
let registry: DockerRegistry;
let secured: DockerRegistry;
let folder: string;
const sessions: TerminalSession[] = [];
const clients = ["docker", "lighter"] as const;

beforeAll(async () => {
  if (whyNot !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "lighter-cli-images-"));
  docker = await PrivateDocker.start();
  registry = await DockerRegistry.start();
  secured = await DockerRegistry.start({ users: { someone: PASSWORD } });
  await docker.succeed(["create", "--name", "made", "--network", "none", "busybox", "true"]);
  await docker.succeed([
    "run",
    "--name",
    "changed",
    "--network",
    "none",
    "busybox",
    "sh",
    "-c",
    "touch /new; rm /etc/group",
  ]);
  for (const tag of ["one", "two"]) {
    await docker.succeed(["tag", "busybox", `${registry.host}/team/box:${tag}`]);
    await docker.succeed(["push", "-q", `${registry.host}/team/box:${tag}`]);
  }
  await docker.succeed(["tag", "busybox", `${secured.host}/box`]);
}, 90_000);

afterAll(async () => {
  if (whyNot !== undefined) return;
  for (const session of sessions) session.close();
  await registry[Symbol.asyncDispose]();
  await secured[Symbol.asyncDispose]();
  await docker.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

/** IDs of what a command has just made differ, and so may an age in seconds, with its column's width. */
function normalize({ stdout, ...rest }: Outcome): Outcome {
  const timeless = stdout.replaceAll(/\b(?:CREATED|(?:Less than a second|\d+ seconds?) ago) +/g, "AGE ");
  return { ...rest, stdout: timeless.replace(/^(sha256:)?[0-9a-f]{64}$/m, "ID") };
}

/** An empty directory for one client's config.json. */
function configFolder(config?: object): string {
  const path = mkdtempSync(join(folder, "config-"));
  if (config !== undefined) writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return path;
}

/** BOX is a repository in the registry, OUT a path that can be written. */
const cases: readonly (readonly [args: readonly string[], stdin?: string])[] = [
  [["image", "ls", "a", "b"]],
  [["image", "list", "busybox"]],
  [["image", "remove", "nope"]],
  [["image", "inspect", "nope"]],
  [["image", "inspect", "busybox", "nope"]],
  [["image", "inspect", "-f", "{{.Id}}", "busybox", "nope"]],
  [["image", "inspect", "-s", "busybox"]],
  [["image", "inspect", "made"]],
  [["image", "history", "busybox", "-q"]],
  [["image", "pull"]],
  [["pull", "BOX:one"]],
  [["pull", "-q", "BOX:one"]],
  [["pull", "--disable-content-trust", "BOX:one"]],
  [["pull", "BOX"]],
  [["pull", "-a", "BOX"]],
  [["pull", "-aq", "BOX"]],
  [["pull", "-a", "BOX:one"]],
  [["pull", `BOX@${DIGEST}`]],
  [["pull", "UPPER"]],
  [["pull", "a b"]],
  [["pull", ""]],
  [["pull", "c".repeat(64)]],
  [["pull", "--platform", "a/b/c/d", "BOX:one"]],
  [["pull", "--platform", "linux/s390x", "BOX:one"]],
  [["pull", "127.0.0.1:1/none"]],
  [["push", "BOX:one"]],
  [["push", "-q", "BOX:one"]],
  [["push", "BOX"]],
  [["push", "-a", "BOX"]],
  [["push", "-a", "BOX:one"]],
  [["push", `BOX@${DIGEST}`]],
  [["push", "127.0.0.1:1/none"]],
  [["tag", "nope", "a:b"]],
  [["tag", "busybox", "Foo"]],
  [["tag", "FOO", "bar"]],
  [["tag", "busybox", `a@${DIGEST}`]],
  [["tag", "busybox", "box:tagged"]],
  [["tag", "a"]],
  [["history", "busybox", "--no-trunc"]],
  [["history", "-H=false", "busybox"]],
  [["history", "--format", "json", "busybox"]],
  [["history", "--format", "{{.ID}} {{.Comment}} {{.CreatedAt}} {{.Size}}|{{.CreatedBy}}", "busybox"]],
  [["history", "--format", "table {{.ID}}\\t{{.Comment}}", "busybox"]],
  [["history", "--format", "{{.Foo}}", "busybox"]],
  [["history", "--format", "{{", "busybox"]],
  [["history", "nope"]],
  [["images", "--format", "{{.Foo}}"]],
  [["images", "--digests", "BOX"]],
  [["save", "nope"]],
  [["save", "-o", "/nope/x", "busybox"]],
  [["save", "-o", "/dev/null", "busybox"]],
  [["save", "-o", "OUT", "busybox", "BOX:one"]],
  [["import", "/nope"]],
  [["import", "-", "A"], ""],
  [["import", "-c", "FOO x", "-"], ""],
  [["import", "-m", "said", "-c", 'CMD ["x"]', "-", "im:ported"], ""],
  [["import", "http://127.0.0.1:1/x"]],
  [["export", "nope"]],
  [["export", "-o", "/nope/x", "made"]],
  [["export", "-o", "OUT", "nope"]],
  [["export", "-o", "OUT", "made"]],
  [["diff", "nope"]],
  [["diff", ""]],
  [["diff", "made"]],
  [["commit", "nope"]],
  [["commit", "made", "A"]],
  [["commit", "made", `a@${DIGEST}`]],
  [["commit", "-c", "FOO", "made"]],
  [["commit"]],
  [["commit", "a", "b", "c"]],
  [["commit", "-a", "me", "-m", "said", "-c", "ENV A=b", "-p=false", "made", "com:mitted"]],
  [["image", "prune"], ""],
  [["image", "prune", "-a"], "yes\n"],
  [["image", "prune", "--filter", "label=none"], " Y\n"],
  [["image", "prune", "-f", "--filter", "foo=bar"]],
  [["image", "prune", "-f", "--filter", "foo"]],
  [["search", "--limit", "200", "foo"]],
  [["search", "--filter", "x", "foo"]],
  [["search", "REGISTRY/foo"]],
  [["login", "-u", "x"]],
  [["login", "--password-stdin"]],
  [["login", "-u", "x", "-p", "y", "--password-stdin"]],
  [["login", "-p", "x"]],
  [["login", "a", "b"]],
  [["run", "--rm", "--network", "none", "--pull", "never", "nope"]],
  [["run", "--rm", "--network", "none", "--pull", "always", "BOX:one", "echo", "hi"]],
  [["run", "--rm", "--network", "none", "--pull", "always", "-q", "BOX:one", "echo", "hi"]],
  [["run", "--rm", "--network", "none", "BOX:none", "echo", "hi"]],
  [["run", "--rm", "--network", "none", "--platform", "a/b/c/d", "busybox", "true"]],
  [["run", "--rm", "--network", "none", "--platform", "linux/x!", "busybox", "true"]],
  [["create", "--network", "none", "--pull", "always", "127.0.0.1:1/none", "x"]],
];

describeIf(whyNot)("images", () => {
  test.each(cases.map(([args, stdin]) => [args.join(" "), args, stdin] as const))("%s", async (_name, args, stdin) => {
    const outPath = join(folder, "out.tar");
    const results: (Outcome & { written: boolean })[] = [];
    for (const client of clients) {
      const known = args.map((word) =>
        word.replace("BOX", `${registry.host}/team/box`).replace("REGISTRY", registry.host).replace(/^OUT$/, outPath),
      );
      const outcome = await docker[client](known, stdin === undefined ? {} : { stdin });
      results.push({ ...normalize(outcome), written: existsSync(outPath) });
      rmSync(outPath, { force: true });
    }
    const [theirs, ours] = results as [Outcome & { written: boolean }, Outcome & { written: boolean }];
    expect(ours).toEqual({ ...renamed(theirs), written: theirs.written });
  });

  test("diff lists what a container changed", async () => {
    const [theirs, ours] = [await docker.docker(["diff", "changed"]), await docker.lighter(["diff", "changed"])];
    const lines = (text: string) => text.split("\n").sort();
    expect(lines(ours.stdout)).toEqual(lines(theirs.stdout));
    expect(lines(ours.stdout)).toEqual(expect.arrayContaining(["A /new", "C /etc", "D /etc/group"]));
  });

  test("an image that is missing is pulled for run, on stderr, and its tags can be removed again", async () => {
    const name = `${registry.host}/team/box:two`;
    const seen: Outcome[] = [];
    for (const client of clients)
      for (const args of [
        ["rmi", name],
        ["run", "--rm", "--network", "none", name, "echo", "hi"],
        ["rmi", name],
        ["pull", name],
      ])
        seen.push(await docker[client](args));
    expect(seen.slice(4)).toEqual(seen.slice(0, 4));
    expect(seen[5]?.stdout).toBe("hi\n");
    expect(seen[5]?.stderr).toStartWith(`Unable to find image '${name}' locally\n`);
  });

  test("save and export write the same archives to stdout and to a file, and load and import take them", async () => {
    for (const [command, what] of [
      ["save", "busybox"],
      ["export", "made"],
    ] as const) {
      const path = join(folder, `${command}.tar`);
      // dockerd's archives hold the second that they were made in.
      await eventually(async () => {
        expect(await docker.lighter([command, "-o", path, what])).toEqual({ stdout: "", stderr: "", code: 0 });
        expect(statSync(path).mode & 0o777).toBe(0o600);
        const theirs = await docker.docker([command, what]);
        expect(readFileSync(path, "utf8") === theirs.stdout).toBe(true);
      });
    }
    expect((await docker.lighter(["load", "-i", join(folder, "save.tar")])).stdout).toBe(
      "Loaded image: busybox:latest\n",
    );
    const imported = await docker.lighter(["import", "-c", 'CMD ["true"]', join(folder, "export.tar"), "again"]);
    expect(imported).toEqual({ stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/), stderr: "", code: 0 });
    expect((await docker.lighter(["run", "--rm", "--network", "none", "again"])).code).toBe(0);
    await docker.succeed(["rmi", "again"]);
  });

  test("an upload whose source fails makes no image and says why", async () => {
    const ids = async () => (await docker.succeed(["images", "-aq"])).stdout.split("\n").sort(); // those of one second in any order
    const before = await ids();
    const outcome = await docker.lighter(["import", folder, "from-a-directory"]);
    expect(outcome).toEqual({ stdout: "", stderr: `read ${folder}: is a directory\n`, code: 1 });
    expect(await ids()).toEqual(before);
  });

  test("prune tells what it removed", async () => {
    const seen: Outcome[] = [];
    await docker.succeed(["image", "prune", "-f"]);
    for (const client of clients) {
      await docker.succeed(["commit", "made", "to-prune"]);
      await docker.succeed(["commit", "-m", client, "made", "to-prune"]);
      seen.push(await docker[client](["image", "prune", "-f", "--filter", "dangling=true"]));
      await docker.succeed(["rmi", "to-prune"]);
    }
    const [theirs, ours] = seen.map((one) => ({ ...one, stdout: one.stdout.replaceAll(/[0-9a-f]{64}/g, "ID") }));
    expect(ours).toEqual(theirs as Outcome);
    expect(ours?.stdout).toContain("Deleted Images:\n");
  });

  describe("credentials", () => {
    const logIn = (client: (typeof clients)[number], config: string, password = PASSWORD) =>
      docker[client](["login", "-u", "someone", "--password-stdin", secured.host], {
        stdin: `${password}\n`,
        env: { DOCKER_CONFIG: config },
      });

    test("login, push, pull and logout; each client takes what the other stored", async () => {
      const configs = { docker: configFolder(), lighter: configFolder() };
      const image = `${secured.host}/box`;
      const steps: ((client: (typeof clients)[number]) => Promise<Outcome>)[] = [
        (client) => docker[client](["push", image], { env: { DOCKER_CONFIG: configs[client] } }),
        (client) => logIn(client, configs[client], "wrong"),
        (client) => logIn(client, configs[client]),
        (client) => docker[client](["login", secured.host], { env: { DOCKER_CONFIG: configs[client] } }),
        (client) => docker[client](["push", "-q", image], { env: { DOCKER_CONFIG: configs[client] } }),
        (client) =>
          docker[client](["pull", image], {
            env: { DOCKER_CONFIG: client === "docker" ? configs.lighter : configs.docker },
          }),
        (client) => docker[client](["logout", secured.host], { env: { DOCKER_CONFIG: configs[client] } }),
        (client) => docker[client](["pull", image], { env: { DOCKER_CONFIG: configs[client] } }),
      ];
      for (const [index, step] of steps.entries()) {
        const [theirs, ours] = [await step("docker"), await step("lighter")];
        const words = (outcome: Outcome) => ({
          ...outcome,
          stderr: outcome.stderr.replaceAll(configs.docker, "CONFIG").replaceAll(configs.lighter, "CONFIG"),
        });
        expect([index, words(ours)]).toEqual([index, words(theirs)]);
        expect(`${ours.stdout}${ours.stderr}`).not.toContain(PASSWORD);
        if (index !== 2) continue;
        const path = join(configs.lighter, "config.json");
        expect(readFileSync(path, "utf8")).toBe(readFileSync(join(configs.docker, "config.json"), "utf8"));
        expect(statSync(path).mode & 0o777).toBe(0o600);
        expect(readdirSync(configs.lighter)).toEqual(["config.json"]);
      }
    });

    test("a credential helper keeps the password, and is asked for it", async () => {
      const bin = join(folder, "bin");
      mkdirSync(bin, { recursive: true });
      const helper = join(bin, "docker-credential-test");
      writeFileSync(
        helper,
        `#!/bin/sh
case $1 in
store) cat >"$STORE" ;;
get) [ -e "$STORE" ] && cat "$STORE" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) cat >/dev/null; rm -f "$STORE" ;;
esac
`,
      );
      chmodSync(helper, 0o755);
      const image = `${secured.host}/box`;
      const seen = [];
      for (const client of clients) {
        const config = configFolder({ credHelpers: { [secured.host]: "test" }, auths: {} });
        const store = join(config, "store");
        const env = { DOCKER_CONFIG: config, STORE: store, PATH: `${bin}:${process.env.PATH}` };
        const run = (args: readonly string[], stdin = "") => docker[client](args, { env, stdin });
        seen.push([
          await run(["push", "-q", image]),
          await run(["login", "-u", "someone", "--password-stdin", secured.host], PASSWORD),
          JSON.parse(readFileSync(store, "utf8")),
          JSON.parse(readFileSync(join(config, "config.json"), "utf8")),
          await run(["push", "-q", image]),
          await run(["logout", secured.host]),
          existsSync(store),
          await run(["push", "-q", image]),
        ]);
      }
      expect(seen[1]).toEqual(seen[0] as unknown[]);
      expect(seen[1]?.[2]).toEqual({ ServerURL: secured.host, Username: "someone", Secret: PASSWORD });
    });

    test("a helper that is missing or fails: what login and logout say", async () => {
      const seen = [];
      for (const client of clients) {
        const config = configFolder({ credsStore: "not-there" });
        const env = { DOCKER_CONFIG: config };
        const login = ["login", "-u", "someone", "-p", PASSWORD, secured.host];
        seen.push([await docker[client](login, { env }), await docker[client](["logout"], { env })]);
      }
      expect(seen[1]).toEqual(seen[0] as Outcome[]);
    });
  });

  describe("bootstrap", () => {
    /** A tool by this name that runs `script`, and the environment that finds it before the real one. */
    function fakeTool(name: string, script: string): Record<string, string> {
      const bin = mkdtempSync(join(folder, "tools-"));
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(bin, name), 0o755);
      const temporary = join(bin, "tmp");
      mkdirSync(temporary);
      return { PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary };
    }
    const leftIn = ({ TMPDIR = "" }: Record<string, string>) => readdirSync(TMPDIR);

    test("the tool's archive becomes an image that runs bash, and its words are shown", async () => {
      const env = fakeTool(
        "mmdebstrap",
        `echo "args: $*" >&2; touch "$TMPDIR/left"; exec tar -C ${join(docker.folder, "image")} -cf - .`,
      );
      const args = ["--include", "a,b", "--variant=essential", "debian:trixie", "boot:strapped"];
      const outcome = await docker.lighter(["image", "bootstrap", ...args], { env });
      expect(outcome).toEqual({
        stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/),
        stderr: "args: --variant=essential --include=a,b --skip=output/dev --format=tar trixie -\n",
        code: 0,
      });
      expect(leftIn(env)).toEqual([]);
      const { stdout } = await docker.succeed(["inspect", "-f", "{{json .Config.Cmd}}", "boot:strapped"]);
      expect(stdout).toBe('["bash"]\n');
    });

    test("debootstrap's directory becomes an image, without devices and downloads", async () => {
      const env = {
        ...fakeTool(
          "debootstrap",
          `for last; do :; done; mkdir -p "$last/dev" "$last/var/cache/apt/archives" "$last/etc"
echo x >"$last/etc/x"; mknod "$last/dev/null" c 1 3; touch "$last/var/cache/apt/archives/a.deb"
mount -t tmpfs none "$last/etc" || exit 9; echo out`,
        ),
      };
      // A PATH without the host's mmdebstrap, which would be preferred.
      const bin = mkdtempSync(join(folder, "few-"));
      for (const name of ["sh", "mkdir", "mknod", "touch", "mount", "tar", "unshare"])
        symlinkSync(Bun.which(name) ?? "", join(bin, name));
      env.PATH = `${env.PATH?.split(":")[0]}:${bin}`;
      const outcome = await docker.lighter(["image", "bootstrap", "debian:trixie", "de:bootstrapped"], { env });
      expect(outcome).toMatchObject({ stderr: "out\n", code: 0 });
      expect(leftIn(env)).toEqual([]);
      await docker.succeed(["create", "--name", "unpacked", "de:bootstrapped"]);
      await docker.succeed(["export", "-o", join(folder, "unpacked.tar"), "unpacked"]);
      const listed = Bun.spawnSync(["tar", "-tf", join(folder, "unpacked.tar")])
        .stdout.toString()
        .split("\n");
      expect(listed).toContain("etc/x"); // what a tool has mounted is gone when it has ended
      expect(listed).not.toContain("var/cache/apt/archives/a.deb");
    });

    test("a tool that fails makes no image", async () => {
      const env = fakeTool("mmdebstrap", 'touch "$TMPDIR/left"; printf part; echo "no such suite" >&2; exit 7');
      const outcome = await docker.lighter(["image", "bootstrap", "debian:nosuch", "none:here"], { env });
      expect(outcome).toEqual({
        stdout: "",
        stderr: "no such suite\nbootstrap: mmdebstrap failed with code 7\n",
        code: 1,
      });
      expect(leftIn(env)).toEqual([]);
      expect((await docker.succeed(["images", "-q", "none:here"])).stdout).toBe("");
    });

    test("a helper program that is missing is named, and nothing is left", async () => {
      const env = fakeTool("mmdebstrap", "true");
      env.PATH = env.PATH?.split(":")[0] ?? "";
      const outcome = await docker.lighter(["image", "bootstrap", "debian:trixie"], { env });
      expect(outcome).toEqual({
        stdout: "",
        stderr: "bootstrap: run unshare: no such file or directory\n",
        code: 1,
      });
      expect(leftIn(env)).toEqual([]);
    });

    test("without a tool the error says what to install", async () => {
      const outcome = await docker.lighter(["image", "bootstrap", "debian:trixie"], { env: { PATH: "/nonexistent" } });
      expect(outcome).toMatchObject({ stderr: expect.stringContaining("apt-get install mmdebstrap"), code: 1 });
    });

    test.each(["\x03", "SIGTERM"])("%p ends the tool and removes what it made", async (how) => {
      const env = fakeTool("mmdebstrap", 'trap "" INT TERM; touch "$TMPDIR/left"; echo started >&2; sleep 1000');
      const session = new TerminalSession([...lighterCommand, "image", "bootstrap", "debian:trixie", "none:here"], {
        env: { DOCKER_HOST: docker.host, ...env },
      });
      sessions.push(session);
      await session.shows("started");
      expect(leftIn(env)).toHaveLength(1);
      if (how === "SIGTERM") process.kill(session.pid, how);
      else session.type(how);
      expect(await session.ended()).toBe(how === "SIGTERM" ? 143 : 130);
      expect(leftIn(env)).toEqual([]);
    });
  });

  describe("on a terminal", () => {
    let server: Server;
    let host: string;

    beforeAll(async () => {
      const path = join(folder, "recorded.sock");
      host = `unix://${path}`;
      server = createServer((request, response) => {
        request.resume();
        const headers = { "Api-Version": "1.45", Ostype: "linux", "Content-Type": "application/json" };
        if (request.url?.includes("_ping")) response.writeHead(200, headers).end("OK");
        else if (request.url?.includes("hang")) response.writeHead(200, headers).write('{"status":"hanging"}');
        else
          response
            .writeHead(200, headers)
            .end(readFileSync(join(import.meta.dirname, "../../src/cli/format/progress.recorded.jsonl")));
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
    });

    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });

    const onTerminal = (argv: readonly string[], columns = 80) => {
      const session = new TerminalSession(argv, { columns, env: { DOCKER_HOST: host, DOCKER_CONFIG: configFolder() } });
      sessions.push(session);
      return session;
    };

    test.each([40, 80, 110, 111, 200])("a recorded pull looks the same, %d columns", async (columns) => {
      const outputs: string[] = [];
      for (const client of [["docker"], lighterCommand]) {
        const session = onTerminal([...client, "pull", "x"], columns);
        expect(await session.ended()).toBe(1);
        await session.shows("the end\r\n");
        outputs.push(session.output);
      }
      expect(outputs[1]).toBe(outputs[0] as string);
    });

    test("save and export refuse to write to a terminal", async () => {
      for (const client of [["docker"], lighterCommand])
        for (const command of ["save", "export"]) {
          const session = onTerminal([...client, command, "x"]);
          expect(await session.ended()).toBe(1);
          await session.shows("cowardly refusing to save to a terminal. Use the -o flag or redirect\r\n");
        }
    });

    test("ctrl-c ends a pull that hangs", async () => {
      for (const client of [["docker"], lighterCommand]) {
        const session = onTerminal([...client, "pull", "hang"]);
        await session.shows("hanging");
        session.type("\x03");
        expect(await session.ended()).toBe(130);
      }
    });

    test("login asks for what is missing, and does not show the password", async () => {
      const outputs: string[] = [];
      for (const client of [["docker"], lighterCommand]) {
        const session = onTerminal([...client, "login", "r.example"]);
        await session.shows("Username: ");
        session.type("someone\r");
        await session.shows("Password: ");
        session.type("secret\r");
        await session.ended();
        outputs.push(session.output);
      }
      expect(outputs[1]).not.toContain("secret");
      expect(outputs[1]?.split("Password: ")[0]).toBe(outputs[0]?.split("Password: ")[0] as string);
    });

    test("ctrl-c at the password prompt leaves a terminal that echoes", async () => {
      const session = onTerminal([...lighterCommand, "login", "-u", "x", "r.example"]);
      await session.shows("Password: ");
      expect(session.echoes).toBe(false);
      session.type("\x03");
      expect(await session.ended()).toBe(130);
      expect(session.echoes).toBe(true);
    });
  });
});
