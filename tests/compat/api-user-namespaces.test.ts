/** The stock `docker` command line against a daemon whose containers are in user namespaces. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const hasDocker = spawnSync("docker", ["--version"]).status === 0;
const stock = testIf(isRoot && hasDocker, isRoot ? "no docker command here" : "needs root");

let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot && hasDocker) daemon = await TestDaemon.start({ flags: ["--userns-remap", "auto"] });
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function command(argv: readonly string[]): Promise<Result> {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  const child = Bun.spawn([...argv], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

const docker = (...args: string[]) => command(["docker", ...args]);
const RUN = ["--network", "none", "-v", hostUsr.Binds[0]!];
const run = (...args: string[]) => docker("run", "--rm", ...RUN, ...args);
const UID_MAP = ["host-usr", "sh", "-c", "tr -s ' ' </proc/self/uid_map"];

stock("run without --userns is in a range of its own, with --userns=host in the host's", async () => {
  expect(await run(...UID_MAP)).toEqual({ code: 0, stdout: expect.stringMatching(/^ 0 18\d{8} 65536\n$/), stderr: "" });
  expect((await run("--userns=host", "--privileged", ...UID_MAP)).stdout).toBe(" 0 0 4294967295\n");
});

stock("run refuses what a user namespace cannot have, as Docker says it", async () => {
  const refused = async (...flags: string[]) => {
    const { code, stderr } = await docker("run", "--rm", ...flags, "host-usr", "true");
    return [code, stderr.split("\n")[0]];
  };
  const says = (what: string) => [125, `docker: Error response from daemon: ${what}.`];
  expect(await refused("--network", "host")).toEqual(
    says("cannot share the host's network namespace when user namespaces are enabled"),
  );
  expect(await refused("--network", "none", "--pid", "host")).toEqual(
    says("cannot share the host PID namespace when user namespaces are enabled"),
  );
  expect(await refused("--network", "none", "--privileged")).toEqual(
    says(
      "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
    ),
  );
});

stock("info names it", async () => {
  expect((await docker("info", "--format", "{{json .SecurityOptions}}")).stdout).toContain('"name=userns"');
});

stock("cp, exec and commit see the container's owners", async () => {
  const source = join(daemon.directory, "file");
  writeFileSync(source, "from the host");
  const created = await docker("run", "-d", ...RUN, "host-usr", "sleep", "1000");
  const id = created.stdout.trim();
  expect((await docker("cp", source, `${id}:/etc/file`)).code).toBe(0);
  const stat = ["stat", "-c", "%u:%g", "/etc/file"];
  expect(await docker("exec", id, ...stat)).toEqual({ code: 0, stdout: "0:0\n", stderr: "" });
  expect((await docker("exec", "-u", "0", id, "chown", "1000:5", "/etc/file")).code).toBe(0);
  const listed = await command(["sh", "-c", `docker cp ${id}:/etc/file - | tar -tv --numeric-owner`]);
  expect(listed.stdout).toMatch(/ 1000\/5 +13 .* file\n$/);
  expect((await docker("commit", id, "made")).code).toBe(0);
  for (const flags of [[], ["--userns=host"]]) expect((await run(...flags, "made", ...stat)).stdout).toBe("1000:5\n");
  expect((await docker("inspect", "-f", "[{{.HostConfig.UsernsMode}}]", id)).stdout).toBe("[]\n");
  await docker("rm", "-f", id);
});

stock("our own command line asks for it by name", async () => {
  const lighter = (...args: string[]) =>
    command(["dist/lighter", "-H", `unix://${daemon.socketPath}`, "run", "--rm", ...RUN, ...args]);
  expect((await lighter("--userns=auto:size=70000", ...UID_MAP)).stdout).toMatch(/^ 0 18\d{8} 70000\n$/);
  expect(await lighter("--userns=keep-id", ...UID_MAP)).toMatchObject({
    code: 125,
    stderr: expect.stringContaining("--userns: invalid USER mode"),
  });
});
