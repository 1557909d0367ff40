import { expect, test } from "bun:test";
import { HYBRID_HOST } from "../../../tests/golden/config/host.ts";
import { runCase } from "../../../tests/golden/config/run-case.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciProcess } from "../../spec/oci-runtime.ts";
import { buildExecProcess, commandOf, type ExecOptions, mergeImageConfig, type ResolvedUser } from "./process.ts";

const IMAGE: DockerContainerConfig = { Entrypoint: ["/entry"], Cmd: ["serve", "80"] };

/** Docker's reference, "Understand how CMD and ENTRYPOINT interact", from the side of `docker run`. */
const COMMANDS: [string, DockerContainerConfig, DockerContainerConfig, string[]][] = [
  ["the image's entrypoint and command", {}, IMAGE, ["/entry", "serve", "80"]],
  ["the image's entrypoint with an own command", { Cmd: ["x"] }, IMAGE, ["/entry", "x"]],
  ["an own entrypoint without the image's command", { Entrypoint: ["y"] }, IMAGE, ["y"]],
  ["an own entrypoint and command", { Entrypoint: ["y"], Cmd: ["x"] }, IMAGE, ["y", "x"]],
  ["no entrypoint with an own command", { Entrypoint: [""], Cmd: ["x"] }, IMAGE, ["x"]],
  ["nothing, if the entrypoint is reset and there is no command", { Entrypoint: [""] }, IMAGE, []],
  ["the image's command, if the list of the entrypoint is empty", { Entrypoint: [] }, IMAGE, ["serve", "80"]],
  ["the image's command alone", {}, { Cmd: ["serve"] }, ["serve"]],
  ["the image's, if the own command is empty", { Cmd: [] }, IMAGE, ["/entry", "serve", "80"]],
];
for (const [what, config, image, expected] of COMMANDS)
  test(`a container runs ${what}`, () => {
    expect(commandOf(mergeImageConfig(config, image))).toEqual(expected);
  });

test("what the image says is taken where the container says nothing", () => {
  const image: DockerContainerConfig = {
    Env: ["A=image", "B=image"],
    User: "bob",
    WorkingDir: "/work",
    StopSignal: "SIGQUIT",
    Labels: { a: "image", b: "image" },
    Volumes: { "/v": {} },
    ExposedPorts: { "80/tcp": {} },
  };
  const own: DockerContainerConfig = { Env: ["A=own"], User: "0", Labels: { a: "own" }, Volumes: { "/w": {} } };
  expect(mergeImageConfig(own, image)).toMatchObject({
    Env: ["A=own", "B=image"],
    User: "0",
    WorkingDir: "/work",
    StopSignal: "SIGQUIT",
    Labels: { a: "own", b: "image" },
    Volumes: { "/v": {}, "/w": {} },
    ExposedPorts: { "80/tcp": {} },
  });
});

const BOB: ResolvedUser = { uid: 1000, gid: 1000, additionalGids: [44, 1000], home: "/home/bob" };

function exec(
  options: Partial<ExecOptions>,
  container: { config?: DockerContainerConfig; hostConfig?: DockerHostConfig } = {},
): { process: OciProcess; container: OciProcess } {
  const { prepared, oci } = runCase({
    name: "",
    image: "plain",
    docker: false,
    config: container.config ?? {},
    hostConfig: { NetworkMode: "none", ...container.hostConfig },
  });
  const process = buildExecProcess({
    container: { oci, config: prepared.config, hostConfig: prepared.hostConfig },
    exec: { Cmd: ["id"], ...options },
    user: BOB,
    capabilities: HYBRID_HOST.capabilities,
  });
  return { process, container: oci.process! };
}

test("an exec has the container's environment, with its own variables over it and its own user's home", () => {
  const { process } = exec({ Env: ["FOO=exec", "NEW=1"] });
  expect(process.env).toEqual([
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME=c0ffeec0ffee",
    "FOO=exec",
    "NEW=1",
    "HOME=/home/bob",
  ]);
  expect(process.user).toEqual({ uid: 1000, gid: 1000, additionalGids: [1000, 44] });
  expect(process.args).toEqual(["id"]);
});

test("an exec has a terminal's TERM only if it has a terminal itself", () => {
  const ofTty = exec({}, { config: { Tty: true } });
  expect(ofTty.container.env).toContain("TERM=xterm");
  expect(ofTty.process.env).not.toContain("TERM=xterm");
  expect(ofTty.process.terminal).toBeUndefined();
  const withTty = exec({ Tty: true, ConsoleSize: [24, 80] });
  expect(withTty.process.env).toContain("TERM=xterm");
  expect(withTty.process).toMatchObject({ terminal: true, consoleSize: { height: 24, width: 80 } });
});

test("HOME stays as the container's config has it", () => {
  expect(exec({}, { config: { Env: ["HOME=/srv"] } }).process.env).toContain("HOME=/srv");
});

test("an empty HOME is the user's home, and a HOME that is taken out is no other", () => {
  for (const Env of [["HOME="], ["HOME"]]) {
    const { process, container } = exec({}, { config: { Env } });
    expect(process.env?.filter((each) => each.startsWith("HOME"))).toEqual(["HOME=/home/bob"]);
    expect(container.env?.filter((each) => each.startsWith("HOME"))).toEqual(["HOME=/root"]);
  }
});

test("a working directory is kept clean", () => {
  expect(mergeImageConfig({ WorkingDir: "/a//b/../c/" }, {}).WorkingDir).toBe("/a/c");
  expect(mergeImageConfig({}, { WorkingDir: "/../srv/." }).WorkingDir).toBe("/srv");
  expect(mergeImageConfig({ WorkingDir: "a/../b" }, {}).WorkingDir).toBe("a/../b");
});

test("an exec starts in its own directory, or else the container's", () => {
  const container = { config: { WorkingDir: "/work/" } };
  expect(exec({}, container).process.cwd).toBe("/work");
  expect(exec({ WorkingDir: "/tmp" }, container).process.cwd).toBe("/tmp");
  expect(exec({}).process.cwd).toBe("/");
});

test("an exec keeps the container's limits and capabilities; a privileged one has all capabilities", () => {
  const hostConfig: DockerHostConfig = {
    SecurityOpt: ["no-new-privileges"],
    Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
    OomScoreAdj: 5,
    CapDrop: ["ALL"],
    CapAdd: ["CHOWN"],
  };
  const { process } = exec({}, { hostConfig });
  expect(process).toMatchObject({
    noNewPrivileges: true,
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
    oomScoreAdj: 5,
  });
  expect(process.capabilities?.bounding).toEqual(["CAP_CHOWN"]);
  expect(exec({ Privileged: true }, { hostConfig }).process.capabilities?.bounding).toEqual([
    ...HYBRID_HOST.capabilities,
  ]);
});

test("CVE-2022-24769: no process gets inheritable or ambient capabilities", () => {
  for (const { process, container } of [
    exec({}),
    exec({ Privileged: true }),
    exec({}, { hostConfig: { Privileged: true } }),
  ])
    for (const each of [process, container])
      expect(Object.keys(each.capabilities ?? {}).sort()).toEqual(["bounding", "effective", "permitted"]);
});

test("an exec without a command, or with a nameless variable, is invalid", () => {
  expect(() => exec({ Cmd: [] })).toThrow("No exec command specified");
  expect(() => exec({ Env: ["=x"] })).toThrow("invalid environment variable: =x");
});
