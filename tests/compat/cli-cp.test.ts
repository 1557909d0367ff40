/** `cp` in both directions: both clients do the same against one dockerd, and the same files are there afterwards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, type Outcome, PrivateDocker, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker();
const clients = ["docker", "lighter"] as const;
type ClientName = (typeof clients)[number];

let docker: PrivateDocker;
let folder: string;
const sessions: TerminalSession[] = [];

/** Files of the container that is copied from. */
const MAKE_SOURCE = `mkdir -p /w/dir/sub /w/empty; echo one >/w/one; echo two >/w/dir/two; echo three >/w/dir/sub/three
chmod 640 /w/one; chmod 1777 /w/empty; chown 1000:1000 /w/dir/two; ln /w/dir/two /w/dir/hard
ln -s dir /w/to-dir; ln -s one /w/to-one; ln -s /w/dir/two /w/absolute; ln -s nowhere /w/broken; mkfifo /w/dir/fifo
touch -t 202001020304.05 /w/one /w/dir`;

/** Files of the containers that are copied to. */
const MAKE_TARGET = `mkdir -p /w/dir; echo old >/w/file; echo old >/w/dir/two
ln -s dir /w/to-dir; ln -s file /w/to-file; ln -s later /w/to-nothing`;

beforeAll(async () => {
  if (whyNot !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "lighter-cli-cp-"));
  docker = await PrivateDocker.start();
  await docker.succeed(["run", "--name", "from", "--network", "none", "busybox", "sh", "-c", MAKE_SOURCE]);
  await docker.succeed(["run", "--name", "made", "--network", "none", "busybox", "sh", "-c", MAKE_TARGET]);
  await docker.succeed(["commit", "made", "target"]);
}, 90_000);

afterAll(async () => {
  if (whyNot !== undefined) return;
  for (const session of sessions) session.close();
  await docker.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

/** A directory of this machine to copy from and to. */
function makeHostFiles(client: ClientName): string {
  const path = mkdtempSync(join(folder, `${client}-`));
  mkdirSync(join(path, "dir/sub"), { recursive: true });
  mkdirSync(join(path, "empty"));
  writeFileSync(join(path, "file"), "file\n", { mode: 0o600 });
  writeFileSync(join(path, "dir/two"), "other\n");
  writeFileSync(join(path, "dir/sub/deep"), "deep\n", { mode: 0o755 });
  writeFileSync(Buffer.from(join(path, "dir/sub/no-utf8-\xff"), "latin1"), "odd\n");
  for (const [name, target] of [
    ["to-dir", "dir"],
    ["to-file", "file"],
    ["to-nothing", "later"],
    ["broken", "no/where"],
  ] as const)
    symlinkSync(target, join(path, name));
  return path;
}

/** Every file below `path`: kind, mode, size, owner, time of those that are not new, and where links lead. */
function listTree(path: string, owners: boolean): string {
  const columns = `%y %m ${owners ? "%U:%G " : ""}%P %l`;
  const { stdout } = spawnSync("find", [
    path,
    "(",
    "-type",
    "f",
    "-printf",
    `${columns} %s %n\\n`,
    "-o",
    "-printf",
    `${columns}\\n`,
    ")",
  ]);
  const contents = spawnSync("sh", ["-c", 'find "$1" -type f -exec md5sum {} +', "sh", path]).stdout.toString();
  const lines = `${stdout}${contents.replaceAll(path, "")}`.split("\n");
  return lines.sort().join("\n");
}

/** `HOST` in a word is the client's directory, `TO` its container. Names of both are made the same in the outcome. */
async function runIn(client: ClientName, args: readonly string[], stdin?: Uint8Array) {
  const host = makeHostFiles(client);
  const container = `to-${client}`;
  const copiesIn = args.some((word) => word.startsWith("TO:"));
  if (copiesIn) await docker.succeed(["create", "--name", container, "--network", "none", "target", "true"]);
  const words = args.map((word) => word.replace(/^HOST/, host).replace(/^TO:/, `${container}:`));
  const outcome = await docker[client](["cp", ...words], { cwd: host, ...(stdin === undefined ? {} : { stdin }) });
  const same = (text: string) =>
    text
      .replaceAll(host, "HOST")
      .replaceAll(container, "TO")
      .replaceAll(/(['"])docker\b/g, "$1lighter")
      .replaceAll("Usage:  docker", "Usage:  lighter")
      .replaceAll("\tdocker cp", "\tlighter cp");
  let inside = "";
  if (copiesIn) {
    const copy = mkdtempSync(join(folder, "copy-"));
    await docker.succeed(["export", "-o", join(copy, "all.tar"), container]);
    spawnSync("tar", ["-C", copy, "-xf", join(copy, "all.tar"), "--numeric-owner", "-p", "w"]);
    inside = listTree(join(copy, "w"), true);
    await docker.succeed(["rm", container]);
  }
  return {
    outcome: { ...outcome, stdout: same(outcome.stdout), stderr: same(outcome.stderr) } as Outcome,
    host: listTree(host, false),
    inside,
  };
}

const fromContainer: readonly (readonly string[])[] = [
  ["from:/w/one", "HOST/new"],
  ["from:/w/one", "HOST/dir"],
  ["from:/w/one", "HOST/dir/"],
  ["from:/w/one", "HOST/file"],
  ["from:/w/one", "HOST/new/"],
  ["from:/w/one", "HOST/no/new"],
  ["from:/w/one", "HOST/file/"],
  ["from:/w/one", "."],
  ["from:/w/one", "relative"],
  ["from:w/one", "HOST/new"],
  ["from:/w/one/", "HOST/new"],
  ["from:/w/dir", "HOST/new"],
  ["from:/w/dir", "HOST/new/"],
  ["from:/w/dir/", "HOST/new"],
  ["from:/w/dir", "HOST/empty"],
  ["from:/w/dir", "HOST"],
  ["from:/w/dir/.", "HOST/new"],
  ["from:/w/dir/.", "HOST/empty"],
  ["from:/w/dir/.", "HOST/dir"],
  ["from:/w/dir", "HOST/file"],
  ["from:/w/dir/sub", "HOST/to-dir"],
  ["from:/w/one", "HOST/to-dir"],
  ["from:/w/one", "HOST/to-file"],
  ["from:/w/one", "HOST/to-nothing"],
  ["from:/w/one", "HOST/broken"],
  ["from:/w/to-one", "HOST/new"],
  ["-L", "from:/w/to-one", "HOST/new"],
  ["-L", "from:/w/to-one", "HOST/empty"],
  ["-L", "from:/w/to-dir", "HOST/empty"],
  ["-L", "from:/w/to-dir/.", "HOST/empty"],
  ["-L", "from:/w/absolute", "HOST/new"],
  ["-L", "from:/w/broken", "HOST/new"],
  ["from:/w/to-dir", "HOST/new"],
  ["from:/w/to-dir/", "HOST/new"],
  ["from:/w/broken", "HOST/empty"],
  ["from:/w/empty", "HOST/new"],
  ["-a", "from:/w/dir/two", "HOST/new"],
  ["-q", "from:/w/one", "HOST/new"],
  ["-q=false", "from:/w/one", "HOST/new"],
  ["from:/w/none", "HOST/new"],
  ["from:/w/one", "/dev/null"],
  ["from:/w/one", ""],
  ["", "HOST"],
  ["nope:/w", "HOST"],
  ["from:/w", "from:/x"],
  ["HOST/file", "HOST/new"],
  ["from:/w/one"],
  ["a", "b", "c"],
];

const toContainer: readonly (readonly [args: readonly string[], stdin?: Uint8Array])[] = [
  [["HOST/file", "TO:/w/new"]],
  [["HOST/file", "TO:/w/dir"]],
  [["HOST/file", "TO:/w/dir/"]],
  [["HOST/file", "TO:/w/file"]],
  [["HOST/file", "TO:/w/new/"]],
  [["HOST/file", "TO:/w/no/new"]],
  [["HOST/file", "TO:w/new"]],
  [["HOST/file/", "TO:/w/new"]],
  [["file", "TO:/w"]],
  [["./file", "TO:/w/dir/renamed"]],
  [["HOST/dir", "TO:/w/new"]],
  [["HOST/dir/", "TO:/w/new"]],
  [["HOST/dir", "TO:/w"]],
  [["HOST/dir/.", "TO:/w"]],
  [["HOST/dir/.", "TO:/w/new"]],
  [["HOST/dir", "TO:/w/file"]],
  [["dir/.", "TO:/w/dir"]],
  [["HOST/to-dir", "TO:/w/new"]],
  [["HOST/to-dir/", "TO:/w/new"]],
  [["HOST/to-dir/.", "TO:/w/new"]],
  [["-L", "HOST/to-dir", "TO:/w/new"]],
  [["-L", "HOST/to-dir", "TO:/w/dir"]],
  [["-L", "HOST/to-file", "TO:/w"]],
  [["-L", "HOST/broken", "TO:/w"]],
  [["-L", "HOST/to-file/", "TO:/w/new"]],
  [["HOST/to-dir/two", "TO:/w/new"]],
  [["HOST/none/two", "TO:/w/new"]],
  [["HOST/dir/../file", "TO:/w/new"]],
  [["HOST/broken", "TO:/w"]],
  [["HOST/file", "TO:/w/to-dir"]],
  [["HOST/file", "TO:/w/to-file"]],
  [["HOST/file", "TO:/w/to-nothing"]],
  [["-a", "HOST/dir", "TO:/w/new"]],
  [["-q=false", "HOST/file", "TO:/w/new"]],
  [["HOST/none", "TO:/w"]],
  [["HOST/file", "TO:/dev/null"]],
  [["HOST/file", "nope:/w"]],
  [["-", "TO:/w/file"], new Uint8Array(1024)],
  [["-", "TO:/w/none"], new Uint8Array(1024)],
  [["-", "TO:/w"], new Uint8Array(1024)],
  [["-", "TO:/w"], Buffer.from("no archive")],
];

describeIf(whyNot)("cp", () => {
  test.each(fromContainer.map((args) => [args.join(" "), args] as const))("cp %s", async (_name, args) => {
    const [theirs, ours] = [await runIn("docker", args), await runIn("lighter", args)];
    expect(ours).toEqual(theirs);
  });

  test.each(toContainer.map(([args, stdin]) => [args.join(" "), args, stdin] as const))(
    "cp %s",
    async (_name, args, stdin) => {
      const [theirs, ours] = [await runIn("docker", args, stdin), await runIn("lighter", args, stdin)];
      expect(ours).toEqual(theirs);
    },
  );

  test("cp - : what comes out of one container goes into another", async () => {
    const archive = await docker.lighter(["cp", "from:/w/dir/sub", "-"]);
    const theirs = await docker.docker(["cp", "from:/w/dir/sub", "-"]);
    expect(archive).toEqual(theirs);
    const { outcome, inside } = await runIn("lighter", ["-", "TO:/w"], Buffer.from(archive.stdout, "latin1"));
    expect(outcome).toEqual({ stdout: "", stderr: "", code: 0 });
    expect(inside).toContain("f 644 0:0 sub/three  6 1");
  });

  test("on a terminal the size is shown", async () => {
    for (const client of [["docker"], lighterCommand]) {
      const out = mkdtempSync(join(folder, "terminal-"));
      const session = new TerminalSession([...client, "cp", "from:/w/one", out], { env: { DOCKER_HOST: docker.host } });
      sessions.push(session);
      expect(await session.ended()).toBe(0);
      await session.shows(`Successfully copied 2.05kB to ${out}\r\n`);
      expect(session.output).toContain("Copying from container - ");
    }
  });
});
