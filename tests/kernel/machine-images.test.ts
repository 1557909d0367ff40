/**
 * Images of machines, on the kernel: what `machine import` makes of those of Incus and LXC and of root file systems, and `commit`
 * of a machine, start as machines.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { machineUuid } from "../../src/machine/mod.ts";
import { lighterCommand, type Outcome, runProgram } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isRoot, rootedWith } from "../support/stage.ts";

const METADATA = `architecture: ${process.arch === "x64" ? "x86_64" : "aarch64"}
creation_date: 1700000000
properties: {os: Testing, release: "1.0", description: 'says "$HOME"'}
`;
/** The first id of a user namespace on the host where a directory comes from. */
const SHIFT = 100_000;

let daemon: TestDaemon;
let folder: string;

beforeAll(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start();
  folder = mkdtempSync(join(tmpdir(), "lighter-machine-images-"));
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

const lighter = (args: readonly string[], options: { env?: Record<string, string>; stdin?: string } = {}) =>
  runProgram([...lighterCommand, "-H", `unix://${daemon.socketPath}`, ...args], {
    ...options,
    env: { TMPDIR: folder, ...options.env },
  });

/** Imports, and expects that nothing is left in the directory for temporary files. */
async function importing(...args: string[]): Promise<Outcome> {
  const before = readdirSync(folder);
  const outcome = await lighter(["machine", "import", ...args]);
  expect(readdirSync(folder)).toEqual(before);
  return outcome;
}

async function imported(name: string, ...args: string[]): Promise<void> {
  expect(await importing(...args, name)).toEqual({
    stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/),
    stderr: "",
    code: 0,
  });
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const metadata = { name: "metadata.yaml", content: METADATA };

async function startsAsMachine(image: string): Promise<string> {
  const id = await daemon.run({ Image: image, HostConfig: { Runtime: "machine" } });
  const log = async () => (await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text;
  await until(async () => (await log()).includes("up\r\n"), "the init says on its console that it is up");
  return id;
}

const remove = (id: string) => daemon.request("DELETE", `/containers/${id}?force=1&v=1`);
const here = rootedWith("busybox");

here("machine import takes a unified image, with its architecture and properties", async () => {
  const archive = gzipSync(rawTar(metadata, { name: "templates/x", content: "no" }, ...busyboxRoot("rootfs/")));
  await imported("m:unified", file("unified.tar.gz", archive), "--change", "LABEL mine=1");
  const { json } = await daemon.request("GET", "/images/m:unified/json");
  expect([json.Architecture, json.Config.Cmd]).toEqual([process.arch === "x64" ? "amd64" : "arm64", ["/sbin/init"]]);
  expect(json.Config.Labels).toEqual({
    "io.lighter.machine.image.os": "Testing",
    "io.lighter.machine.image.release": "1.0",
    "io.lighter.machine.image.description": 'says "$HOME"',
    "org.opencontainers.image.description": 'says "$HOME"',
    "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
    mine: "1",
  });
  const id = await startsAsMachine("m:unified");
  await remove(id);
});

rootedWith("busybox", "xz")("machine import takes a split image whose root is compressed by xz", async () => {
  const parts = [file("meta.tar", rawTar(metadata)), file("rootfs.tar", rawTar(...busyboxRoot("./")))] as const;
  const packed = await runProgram(["xz", "-0", ...parts]);
  expect(packed.code).toBe(0);
  await imported("m:split", "--rootfs", `${parts[1]}.xz`, `${parts[0]}.xz`);
  const { json } = await daemon.request("GET", "/images/m:split/json");
  expect(json.Config.Labels["io.lighter.machine.image.os"]).toBe("Testing");
  await remove(await startsAsMachine("m:split"));
});

here("machine import reads from a squashfs by a program, and names what is missing", async () => {
  const image = file("rootfs.squashfs", "hsqs and what the program knows");
  const bin = join(folder, "tools");
  mkdirSync(bin);
  for (const name of ["tar", "unshare", "sh", "mkdir", "mv"]) symlinkSync(Bun.which(name)!, join(bin, name));
  const env = { PATH: bin };
  const missing = await lighter(["machine", "import", image, "m:squashed"], { env });
  expect([missing.code, missing.stderr]).toEqual([
    1,
    `import ${image}: a squashfs is read by sqfs2tar or unsquashfs, and neither is installed. On Debian or Ubuntu: apt-get install squashfs-tools-ng\n`,
  ]);
  const root = file("root.tar", rawTar(...busyboxRoot()));
  const tool = (name: string, script: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  tool("unsquashfs", `[ "$5" = ${image} ] && mkdir -p "$4" && exec tar -C "$4" -xf ${root}`);
  expect(await lighter(["machine", "import", image, "m:squashed"], { env })).toMatchObject({ stderr: "", code: 0 });
  await remove(await startsAsMachine("m:squashed"));
  tool("sqfs2tar", "echo broken >&2; exit 3");
  const broken = await lighter(["machine", "import", image, "m:broken"], { env });
  expect(broken).toEqual({ stdout: "", stderr: "broken\nimport: sqfs2tar failed with code 3\n", code: 1 });
});

rootedWith("busybox", "tar")(
  "machine import takes the directory of a container of LXC, and gives files their ids back",
  async () => {
    const directory = join(folder, "web");
    for (const { name, content, type, linkName, mode } of busyboxRoot("rootfs/")) {
      const path = join(directory, name as string);
      mkdirSync(dirname(path), { recursive: true });
      if (type === "2") symlinkSync(linkName!, path);
      else writeFileSync(path, content!, { mode: Number(mode ?? 0o644) });
    }
    writeFileSync(join(directory, "config"), "lxc.arch = linux64\n");
    writeFileSync(join(directory, "rootfs/owned"), "");
    mkdirSync(join(directory, "rootfs/dev"));
    writeFileSync(join(directory, "rootfs/dev/left"), "");
    for (const name of ["", ...readdirSync(join(directory, "rootfs"), { recursive: true, encoding: "utf8" })])
      lchownSync(join(directory, "rootfs", name), SHIFT, SHIFT);
    lchownSync(join(directory, "rootfs/owned"), SHIFT + 1000, SHIFT + 5);
    await imported("m:directory", directory);
    const id = await startsAsMachine("m:directory");
    const { text } = await daemon.request("GET", `/containers/${id}/archive?path=/owned`);
    expect([text.slice(108, 115), text.slice(116, 123)]).toEqual(
      [(1000).toString(8), (5).toString(8)].map((each) => each.padStart(7, "0")),
    );
    expect((await daemon.request("GET", `/containers/${id}/archive?path=/dev/left`)).status).toBe(404);
    await remove(id);
  },
);

here("machine import reads stdin, warns without an init, and refuses what has no root", async () => {
  const stdin = rawTar({ name: "etc/passwd", content: "" }).toString("latin1");
  expect(await lighter(["machine", "import", "-"], { stdin })).toEqual({
    stdout: expect.stringMatching(/^sha256:/),
    stderr: "WARNING: the image has no /sbin/init: a machine of it needs a command\n",
    code: 0,
  });
  const alone = file("alone.tar", rawTar(metadata));
  expect((await importing(alone)).stderr).toBe(
    `import ${alone}: it has no root file system: name it by --rootfs FILE\n`,
  );
  expect((await importing(join(folder, "none"))).stderr).toBe(`open ${folder}/none: no such file or directory\n`);
  const upwards = rawTar(metadata, { name: "rootfs/../../../../../../../tmp/lighter-escaped", content: "" });
  await importing(file("upwards.tar", upwards), "m:upwards");
  expect(existsSync("/tmp/lighter-escaped")).toBe(false);
  expect(await importing(file("text", "no archive"))).toMatchObject({ code: 1 });
});

here("a commit of a machine is an image that starts as another machine", async () => {
  await imported("m:base", file("base.tar", rawTar(...busyboxRoot())));
  const id = await startsAsMachine("m:base");
  const uuidOf = async (of: string) => {
    const { text } = await daemon.request("GET", `/containers/${of}/archive?path=/etc/machine-id`);
    return text.slice(512, 544);
  };
  expect(await uuidOf(id)).toBe(machineUuid(id));
  const archive = rawTar({ name: "kept", content: "by commit" });
  await daemon.request("PUT", `/containers/${id}/archive?path=/etc`, archive, { "Content-Type": "application/x-tar" });
  const committed = await daemon.request("POST", `/commit?container=${id}&repo=m&tag=committed`);
  expect(committed.status).toBe(201);
  await remove(id);
  const copy = await startsAsMachine("m:committed");
  expect(await uuidOf(copy)).toBe(machineUuid(copy));
  const { text } = await daemon.request("GET", `/containers/${copy}/archive?path=/etc/kept`);
  expect(text.slice(512, 521)).toBe("by commit");
  await remove(copy);
});

rootedWith("busybox", "unshare")(
  "image bootstrap --machine asks for what a machine needs, and makes an image that starts",
  async () => {
    const bin = mkdtempSync(join(folder, "bootstrap-"));
    writeFileSync(
      join(bin, "mmdebstrap"),
      `#!/bin/sh\necho "$*" >${bin}/args\nexec cat ${file("strapped.tar", rawTar(...busyboxRoot()))}\n`,
    );
    chmodSync(join(bin, "mmdebstrap"), 0o755);
    const args = ["image", "bootstrap", "--machine", "--include", "nano", "debian:trixie", "m:strapped"];
    expect(await lighter(args, { env: { PATH: `${bin}:${process.env.PATH}` } })).toMatchObject({ stderr: "", code: 0 });
    expect(readFileSync(join(bin, "args"), "utf8")).toContain(
      "--include=systemd-sysv,dbus,libpam-systemd,iproute2,procps,nano ",
    );
    await remove(await startsAsMachine("m:strapped"));
  },
);
