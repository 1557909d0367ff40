/**
 * Containers, volumes, networks and the system on the command line: both clients do the same against one dockerd, which
 * has a network namespace of its own.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, type Outcome, PrivateDocker, renamed, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker();
const clients = ["docker", "lighter"] as const;

let docker: PrivateDocker;
let folder: string;
const sessions: TerminalSession[] = [];

/** Longer than any test takes. */
const SLEEP = ["busybox", "sleep", "1000"];

beforeAll(async () => {
  if (whyNot !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "lighter-cli-containers-"));
  docker = await PrivateDocker.start([], { networks: true });
  await docker.succeed(["volume", "create", "--label", "a=b", "shared10"]);
  await docker.succeed(["volume", "create", "shared9"]);
  await docker.succeed(["network", "create", "--label", "x=y", "--internal", "net10"]);
  await docker.succeed(["network", "create", "net9"]);
  const published = ["-p", "127.0.0.1:8090:80", "-p", "127.0.0.1:8100:80", "-p", "9000:90/udp"];
  // One mount each: dockerd lists those of a container in any order.
  await docker.succeed(["run", "-d", "--name", "web", "-v", "shared10:/v", ...published, ...SLEEP]);
  await docker.succeed(["create", "--name", "made", "-v", "/anonymous", "busybox", "true"]);
}, 90_000);

afterAll(async () => {
  if (whyNot !== undefined) return;
  for (const session of sessions) session.close();
  await docker.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

/** IDs of what a command has just made differ, and time passes between the two. */
function normalize({ stdout, stderr, code }: Outcome): Outcome {
  const timeless = (text: string) =>
    text
      .replaceAll(/Container [0-9a-f]{64}/g, "Container ID")
      .replaceAll(/\b\d+ (seconds?|minutes?)\b|Less than a second|About a minute/g, "TIME")
      .replaceAll(/^[0-9a-f]{64}$/gm, "ID")
      .replaceAll(/ +/g, " ");
  return { stdout: timeless(stdout), stderr: timeless(stderr), code };
}

/** CLIENT in a word is the name of the client: each has its own containers to change. */
async function both(args: readonly string[], stdin = ""): Promise<[theirs: Outcome, ours: Outcome]> {
  const results: Outcome[] = [];
  for (const client of clients) {
    const outcome = await docker[client](
      args.map((word) => word.replaceAll("CLIENT", client)),
      { stdin },
    );
    const unnamed = (text: string) => text.replaceAll(`-${client}`, "-CLIENT");
    results.push({ ...outcome, stdout: unnamed(outcome.stdout), stderr: unnamed(outcome.stderr) });
  }
  const [theirs, ours] = results as [Outcome, Outcome];
  return [normalize(renamed(theirs)), normalize(ours)];
}

const cases: readonly (readonly [args: readonly string[], stdin?: string])[] = [
  [["container", "ls", "-a"]],
  [["container", "list", "-aq", "--no-trunc"]],
  [["container", "ps", "--format", "json"]],
  [["container", "inspect", "web"]],
  [["container", "inspect", "-s", "-f", "{{.SizeRootFs}}", "web"]],
  [["container", "inspect", "nope", "shared10"]],
  [["container", "remove", "nope"]],
  [["container", "logs", "web"]],
  [["container", "prune"], "n\n"],
  [["container", "prune", "x"]],
  [["container", "prune", "-f", "--filter", "foo=bar"]],
  [["container", "rename", "made", "made"]],
  [["pause"]],
  [["pause", "nope", "made"]],
  [["unpause", "web", "nope"]],
  [["rename", "web", ""]],
  [["rename", "nope", "other"]],
  [["rename", "made", "web"]],
  [["rename", "made", "a b"]],
  [["rename", "made"]],
  [["restart", "nope"]],
  [["restart", "-t", "x", "web"]],
  [["top", "web", "-o", "pid,cmd"]],
  [["top", "made"]],
  [["top", "nope"]],
  [["top", "web", "-x", "--foo"]],
  [["port", "web"]],
  [["port", "web", "80"]],
  [["port", "web", "90/udp"]],
  [["port", "web", "90"]],
  [["port", "web", "80/"]],
  [["port", "web", "x"]],
  [["port", "web", "70000/udp"]],
  [["port", "made"]],
  [["port", "nope"]],
  [["update", "web"]],
  [["update", "--cpus", "x", "web"]],
  [["update", "--restart", "a:b", "web"]],
  [["update", "--restart", "sometimes", "web"]],
  [["update", "-m", "1m", "web", "nope"]],
  [["update", "--cpu-shares", "512", "--pids-limit", "50", "web", "made"]],
  [["volume", "ls"]],
  [["volume", "list", "-q"]],
  [["volume", "ls", "--format", "json"]],
  [["volume", "ls", "--format", "raw"]],
  [["volume", "ls", "-q", "--format", "raw"]],
  [["volume", "ls", "--format", 'table {{.Name}}\\t{{.Label "a"}}\\t{{.Labels}}\\t{{.Links}}\\t{{.Size}}']],
  [["volume", "ls", "--format", "{{.Foo}}"]],
  [["volume", "ls", "-f", "dangling=true", "-f", "name=shared"]],
  [["volume", "ls", "-f", "foo=bar"]],
  [["volume", "ls", "-f", "foo"]],
  [["volume", "ls", "x"]],
  [["volume", "inspect", "shared10", "nope"]],
  [["volume", "inspect", "-f", "{{.Labels}} {{.Driver}}", "shared10"]],
  [["volume", "inspect"]],
  [["volume", "create", "--name", "a", "b"]],
  [["volume", "create", "a", "b"]],
  [["volume", "create", "/bad"]],
  [["volume", "create"]],
  [["volume", "create", "-o", "x=y", "bad-option"]],
  [["volume", "rm", "nope", "shared10"]],
  [["volume", "rm", "-f", "nope"]],
  [["volume", "rm"]],
  [["volume", "prune"], "n"],
  [["volume", "prune", "-a"], "n"],
  [["volume", "prune", "-af", "--filter", "all=1"]],
  [["volume", "prune", "-f", "--filter", "foo=1"]],
  [["network", "ls"]],
  [["network", "list", "--no-trunc"]],
  [["network", "ls", "-q"]],
  [["network", "ls", "--format", "json"]],
  [["network", "ls", "--format", "raw"]],
  [["network", "ls", "-q", "--format", "raw"]],
  [["network", "ls", "--format", 'table {{.Name}}\\t{{.Label "x"}}\\t{{.CreatedAt}}\\t{{.Internal}}\\t{{.IPv6}}']],
  [["network", "ls", "-f", "driver=bridge", "-f", "label=x=y"]],
  [["network", "ls", "--format", "{{.Foo}}"]],
  [["network", "ls", "-f", "foo=bar"]],
  [["network", "inspect", "net10"]],
  [["network", "inspect", "-v", "-f", "{{.Name}} {{.Labels}}", "net10"]],
  [["network", "inspect", "nope"]],
  [["network", "create"]],
  [["network", "create", "net9"]],
  [["network", "create", "--subnet", "x", "y"]],
  [["network", "create", "--gateway", "10.0.0.1", "y"]],
  [["network", "create", "--subnet", "10.0.0.0/8", "--subnet", "10.1.0.0/16", "y"]],
  [["network", "create", "--subnet", "10.9.0.0/16", "--gateway", "10.8.0.1", "y"]],
  [["network", "create", "--subnet", "10.9.0.0/16", "--ip-range", "10.8.0.0/24", "y"]],
  [["network", "create", "--subnet", "10.9.0.0/16", "--ip-range", "foo/24", "y"]],
  [["network", "create", "--subnet", "10.9.0.0/16", "--gateway", "foo", "y"]],
  [["network", "create", "--subnet", "10.9.0.0/16", "--aux-address", "a=10.8.0.1", "y"]],
  [["network", "rm", "nope", "bridge"]],
  [["network", "rm", "-f", "nope"]],
  [["network", "rm"]],
  [["network", "connect", "nope", "web"]],
  [["network", "connect", "net9", "nope"]],
  [["network", "connect", "--driver-opt", "x", "net9", "web"]],
  [["network", "connect", "net9"]],
  [["network", "disconnect", "net9", "web"]],
  [["network", "disconnect", "-f", "nope", "web"]],
  [["network", "prune"], "n"],
  [["network", "prune", "-f", "--filter", "foo=bar"]],
  [["system", "df"]],
  [["system", "df", "--format", "json"]],
  [["system", "df", "-v", "--format", "{{json .Images}}{{json .Containers}}{{json .BuildCache}}"]],
  [["system", "df", "--format", "table {{.Type}}\\t{{.Size}}"]],
  [["system", "df", "--format", "{{.Foo}}"]],
  [["system", "df", "-v", "--format", "{{range .Images}}{{.Repository}} {{.UniqueSize}}\n{{end}}"]],
  [["system", "prune"], "n"],
  [["system", "prune", "-a", "--volumes", "--filter", "label=x", "--filter", "label!=a"], "n"],
  [["system", "prune", "-f", "--volumes", "--filter", "until=1h"]],
  [["system", "prune", "-f", "--filter", "until=10h"]],
  [["system", "info", "-f", "{{.ServerVersion}} {{.NCPU}}"]],
  [["events", "--since", "1h", "--until", "0s", "--filter", "container=made"]],
  [["system", "events", "--since", "1h", "--until", "0s", "--format", "json", "--filter", "event=mount"]],
  [
    [
      "events",
      "--since",
      "1h",
      "--until",
      "0s",
      "--filter",
      "event=start",
      "--format",
      "{{.Type}} {{.Time}} {{.Actor.ID}}",
    ],
  ],
  [
    [
      "events",
      "--since",
      "1h",
      "--until",
      "0s",
      "--filter",
      "event=start",
      "--format",
      "{{.ID}} {{.Status}} {{.From}}",
    ],
  ],
  [["events", "--since", "x"]],
  [["events", "--until", "0s", "--format", "{{"]],
  [["events", "x"]],
  [["events", "--filter", "x"]],
  [["stats", "--no-stream", "nope"]],
  [["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.Container}} {{.ID}}", "web"]],
  [["stats", "--no-stream", "-a", "--format", "table {{.Container}}\\t{{.Name}}\\t{{.BlockIO}}"]],
  [["stats", "--no-stream", "--no-trunc", "--format", "json", "made"]],
  [["stats", "--no-stream", "made"]],
  [["stats", "--no-stream", "--format", "{{.Foo}}", "made"]],
];

describeIf(whyNot)("containers and more", () => {
  test.each(cases.map(([args, stdin]) => [args.join(" "), args, stdin] as const))("%s", async (_name, args, stdin) => {
    const [theirs, ours] = await both(args, stdin);
    expect(ours).toEqual(theirs);
  });

  test("pause, unpause, rename, restart, update, top and rm of a container of its own", async () => {
    for (const client of clients) await docker.succeed(["run", "-d", "--name", `own-${client}`, ...SLEEP]);
    const steps = [
      ["pause", "own-CLIENT"],
      ["pause", "own-CLIENT"],
      ["unpause", "own-CLIENT"],
      ["container", "restart", "-t", "0", "-s", "KILL", "own-CLIENT"],
      ["update", "--restart", "on-failure:3", "--cpu-quota", "50000", "own-CLIENT", "nope"],
      ["inspect", "-f", "{{.HostConfig.RestartPolicy}} {{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}", "own-CLIENT"],
      ["network", "connect", "--alias", "a", "--alias", "b,c", "net9", "own-CLIENT"],
      ["network", "disconnect", "-f", "net9", "own-CLIENT"],
      ["rename", "own-CLIENT", "renamed-CLIENT"],
      ["container", "rm", "-fv", "renamed-CLIENT"],
    ];
    for (const step of steps) {
      const [theirs, ours] = await both(step);
      expect([step, ours]).toEqual([step, theirs]);
    }
  });

  test("volumes and networks: create, inspect, rm and prune", async () => {
    const steps = [
      ["volume", "create", "-d", "local", "--label", "p", "-o", "type=tmpfs", "-o", "device=tmpfs", "vol"],
      ["volume", "inspect", "-f", "{{.Labels}} {{.Options}}", "vol"],
      ["volume", "prune", "-af", "--filter", "label=p"],
      [
        "network",
        "create",
        "--subnet",
        "10.7.0.0/16",
        "--ip-range",
        "10.7.1.0/24",
        "--gateway",
        "10.7.0.9",
        "--label",
        "p",
        "n",
      ],
      ["network", "inspect", "-f", "{{json .IPAM}} {{.Labels}} {{.Options}}", "n"],
      ["network", "rm", "n"],
      [
        "network",
        "create",
        "-o",
        "a=b",
        "--attachable",
        "--aux-address",
        "h=10.6.0.3",
        "--subnet=10.6.0.0/16",
        "--label",
        "p",
        "n",
      ],
      ["network", "prune", "-f", "--filter", "label=p"],
    ];
    const seen: Outcome[][] = [[], []];
    for (const [index, client] of clients.entries())
      for (const step of steps) {
        const { stdout, ...rest } = await docker[client](step);
        expect([step, rest]).toEqual([step, { stderr: "", code: 0 }]);
        seen[index]?.push(normalize({ stdout, ...rest }));
      }
    expect(seen[1]).toEqual(seen[0] as Outcome[]);
  });

  test("formats of config.json", async () => {
    const config = mkdtempSync(join(folder, "config-"));
    const name = "{{.Name}}!";
    const formats = { psFormat: "{{.Names}}!", imagesFormat: "{{.Tag}}!", networksFormat: name, volumesFormat: name };
    writeFileSync(join(config, "config.json"), JSON.stringify({ ...formats, statsFormat: name }));
    const env = { DOCKER_CONFIG: config };
    for (const words of [
      "ps",
      "ps -q",
      "ps --format table",
      "images",
      "network ls",
      "volume ls",
      "stats --no-stream made",
    ]) {
      const [theirs, ours] = [
        await docker.docker(words.split(" "), { env }),
        await docker.lighter(words.split(" "), { env }),
      ];
      expect([words, normalize(ours)]).toEqual([words, normalize(theirs)]);
    }
  });

  test("prune filters of config.json", async () => {
    const config = mkdtempSync(join(folder, "config-"));
    writeFileSync(
      join(config, "config.json"),
      JSON.stringify({ pruneFilters: ["label!=keep", "label=mine", "no filter"] }),
    );
    const env = { DOCKER_CONFIG: config };
    const steps = [
      ["volume", "create", "--label", "mine", "a"],
      ["volume", "create", "--label", "mine", "--label", "keep", "b"],
      ["volume", "create", "c"],
      ["system", "prune"],
      ["system", "prune", "--filter", "label=keep", "--filter", "label=x"],
      ["volume", "prune", "-af"],
      ["volume", "ls", "-q"],
      ["volume", "prune", "-af", "--filter", "label=keep"],
      ["volume", "ls", "-q"],
      ["volume", "rm", "c"],
    ];
    const seen: unknown[][] = [[], []];
    for (const [index, client] of clients.entries())
      for (const step of steps) seen[index]?.push([step, normalize(await docker[client](step, { env }))]);
    expect(seen[1]).toEqual(seen[0] as unknown[]);
  });

  test("the server's half of info and version", async () => {
    for (const args of [["info"], ["version"]]) {
      const [theirs, ours] = await both(args);
      // Docker's client lists runtimes in the order of a Go map.
      const inOrder = (text: string) => text.replace(/(?<=Runtimes: ).*/, (names) => names.split(" ").sort().join(" "));
      const half = ({ stdout, ...rest }: Outcome) => ({
        ...rest,
        // Names without a value, such as an init's version here, are Docker's client's alone.
        stdout: inOrder(stdout.slice(stdout.indexOf("\nServer:"))).replace(/^ .*: \n/gm, ""),
      });
      expect(half(ours)).toEqual(half(theirs));
      expect(half(ours).stdout).toContain("Server:");
    }
  });

  test("system df -v: every line, in any order, for the daemon lists volumes in any", async () => {
    for (const args of [[], ["--format", "json"], ["--format", "{{range .Volumes}}{{json .}}\n{{end}}"]]) {
      const [theirs, ours] = await both(["system", "df", "-v", ...args]);
      // Lines; of JSON the elements of its lists, and what is between lists.
      const parts = (stdout: string) => stdout.split(/\n|(?<=[\]}]),|(?<=\[)(?=\{)|(?<=\})(?=\])/).sort();
      const sorted = ({ stdout, ...rest }: Outcome) => ({ ...rest, parts: parts(stdout) });
      expect(sorted(ours)).toEqual(sorted(theirs));
    }
  });

  test("container prune and system prune tell what they removed", async () => {
    for (const args of [
      ["container", "prune", "-f", "--filter", "label=gone"],
      ["system", "prune", "-f", "--filter", "label=gone"],
    ]) {
      const seen: Outcome[] = [];
      for (const client of clients) {
        await docker.succeed(["create", "--label", "gone", "busybox"]);
        seen.push(normalize(await docker[client](args)));
      }
      expect(seen[1]).toEqual(seen[0] as Outcome);
      expect(seen[1]?.stdout).toContain("Deleted Containers:\nID\n");
    }
  });

  test("events are shown as they happen", async () => {
    for (const client of [["docker"], lighterCommand]) {
      const session = onTerminal([
        ...client,
        "events",
        "--filter",
        "type=volume",
        "--format",
        "{{.Action}} {{.Actor.ID}}",
      ]);
      const deadline = performance.now() + 10_000;
      // The stream may begin after a volume was made: another one is.
      for (let shown = false; !shown && performance.now() < deadline; ) {
        const name = (await docker.succeed(["volume", "create"])).stdout.trim();
        shown = await session.showsWithin(`create ${name}\r\n`, 500);
        await docker.succeed(["volume", "rm", name]);
      }
      expect(session.output).toContain("create ");
      session.type("\x03");
      expect(await session.ended()).toBe(130);
    }
  });

  test("stats draws the table again and again, and shows containers that come and go", async () => {
    const screens: string[] = [];
    for (const client of [["docker"], lighterCommand]) {
      const session = onTerminal([...client, "stats", "--format", "table {{.Name}}\\t{{.PIDs}}"]);
      await session.shows("web");
      await docker.succeed(["run", "-d", "--name", "later", ...SLEEP]);
      await session.shows("later");
      await docker.succeed(["rm", "-f", "later"]);
      const before = session.output.length;
      // The first piece is the end of one that began before, the last one is not whole yet.
      const whole = () => session.output.slice(before).split("\x1b[2J").slice(1, -1).at(-1) ?? "later";
      const deadline = performance.now() + 10_000;
      while (whole().includes("later") && performance.now() < deadline) await session.showsWithin("never shown", 100);
      screens.push(whole());
      session.type("\x03");
      expect(await session.ended()).toBe(130);
    }
    expect(screens[1]).toBe(screens[0] as string);
    expect(screens[1]).toContain("\x1b[HNAME");
    expect(screens[1]).not.toContain("later");
  });

  function onTerminal(argv: readonly string[]): TerminalSession {
    const session = new TerminalSession(argv, { env: { DOCKER_HOST: docker.host } });
    sessions.push(session);
    return session;
  }
});
