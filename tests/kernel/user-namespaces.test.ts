import { describe, expect } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { rawTar } from "../support/image-tar.ts";
import { daemonProgram } from "../support/program.ts";
import { rooted, rootedWith } from "../support/stage.ts";

/* Containers of the engine whose root is nobody on the host. */

const FIRST_OF_POOL = 0x70000000;
const COUNT = 65536;

type Host = Record<string, unknown>;

const body = (script: string, host: Host = {}, more: object = {}) => ({
  Cmd: ["/bin/sh", "-c", script],
  HostConfig: { ...hostUsr, ...host, Binds: [...hostUsr.Binds, ...((host.Binds as string[]) ?? [])] },
  ...more,
});

const AUTO = { UsernsMode: "auto" };

async function outputOf(daemon: TestDaemon, id: string): Promise<string> {
  await daemon.request("POST", `/containers/${id}/wait`);
  return unframe((await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`)).text);
}

/** The payloads of Docker's frames: a head of 8 bytes, whose last four are the length. */
function unframe(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  let out = "";
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at + 4))
    out += bytes.toString("utf8", at + 8, at + 8 + bytes.readUInt32BE(at + 4));
  return out;
}

async function run(daemon: TestDaemon, script: string, host: Host = AUTO, more: object = {}): Promise<string> {
  return outputOf(daemon, await daemon.run(body(script, host, more)));
}

async function exec(daemon: TestDaemon, id: string, script: string, more: object = {}): Promise<string> {
  const created = await daemon.request("POST", `/containers/${id}/exec`, {
    Cmd: ["/bin/sh", "-c", script],
    AttachStdout: true,
    AttachStderr: true,
    ...more,
  });
  const connection = await daemon.hijack(`/exec/${created.json.Id}/start`, { body: "{}" });
  return unframe(await connection.untilEnd());
}

/** First host id of a running container. */
async function firstIdOf(daemon: TestDaemon, id: string): Promise<number> {
  const { State } = await daemon.inspect(id);
  return Number(/^\s*0\s+(\d+)/.exec(readFileSync(`/proc/${State.Pid}/uid_map`, "utf8"))![1]);
}

const refusal = async (daemon: TestDaemon, host: Host) => {
  const { status, json } = await daemon.request("POST", "/containers/create", {
    Image: daemon.image,
    ...body("true", host),
  });
  return [status, json.message];
};

describe("--userns=auto", () => {
  rooted("gives each container a range of its own, the same at each start, until it is removed", async () => {
    await using daemon = await TestDaemon.start();
    const [a, b] = [await daemon.run(body("sleep 1000", AUTO)), await daemon.run(body("sleep 1000", AUTO))];
    const [first, second] = [await firstIdOf(daemon, a), await firstIdOf(daemon, b)];
    expect([first, second]).toEqual([FIRST_OF_POOL, FIRST_OF_POOL + COUNT]);
    expect(statSync(`/proc/${(await daemon.inspect(a)).State.Pid}`).uid).toBe(first);
    expect((await daemon.inspect(a)).HostConfig.UsernsMode).toBe("auto");
    await daemon.request("POST", `/containers/${b}/restart?t=0`);
    expect(await firstIdOf(daemon, b)).toBe(second);
    await daemon.kill(); // another daemon knows as much
    await daemon.launch();
    const c = await daemon.run(body("sleep 1000", { UsernsMode: "auto:size=1000" }));
    expect(await firstIdOf(daemon, c)).toBe(FIRST_OF_POOL + 2 * COUNT);
    expect(
      readFileSync(`/proc/${(await daemon.inspect(c)).State.Pid}/gid_map`, "utf8")
        .trim()
        .split(/\s+/),
    ).toEqual(["0", `${FIRST_OF_POOL + 2 * COUNT}`, "1000"]);
    expect(await exec(daemon, b, "id -u; cat /proc/self/uid_map | tr -s ' '")).toBe(`0\n 0 ${second} ${COUNT}\n`);
    await daemon.request("DELETE", `/containers/${a}?force=1`);
    for (;;) {
      const again = await daemon.run(body("sleep 1000", AUTO));
      if ((await firstIdOf(daemon, again)) === FIRST_OF_POOL) break; // when the removal is complete
    }
  });

  rooted("refuses what goes beyond it, by name", async () => {
    await using daemon = await TestDaemon.start();
    expect(await refusal(daemon, { ...AUTO, Privileged: true })).toEqual([
      400,
      "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
    ]);
    expect(await refusal(daemon, { ...AUTO, NetworkMode: "host" })).toEqual([
      400,
      "cannot share the host's network namespace when user namespaces are enabled",
    ]);
    expect(await refusal(daemon, { ...AUTO, PidMode: "host" })).toEqual([
      400,
      "cannot share the host PID namespace when user namespaces are enabled",
    ]);
    expect(await refusal(daemon, { UsernsMode: "keep-id" })).toEqual([400, "invalid user namespace mode: keep-id"]);
    expect((await refusal(daemon, { UsernsMode: "auto:size=0" }))[0]).toBe(400);
    expect((await refusal(daemon, { UsernsMode: "auto:uidmapping=0:1:2" }))[0]).toBe(501);
    const [status, message] = await refusal(daemon, { UsernsMode: "auto:size=4000000000" });
    expect(status).toBe(503);
    expect(message).toStartWith("no 4000000000 free uids in a row for a user namespace");
  });

  rooted("has all that the others have, inside", async () => {
    await using daemon = await TestDaemon.start();
    const script = [
      "id -u; hostname; stat -c '%u %a' / /etc /etc/hosts /dev/shm",
      "echo 127.0.0.1 me >>/etc/hosts; grep -c me /etc/hosts",
      "ls /dev/mqueue; echo x >/dev/null; head -c1 /dev/zero | wc -c",
      "stat -c %u /proc/1 /sys; ls -d /sys/fs/cgroup",
      "touch /dev/shm/x /tmp/y; mkdir /new; chown 1000:1000 /new; stat -c %u /new",
      "setpriv --reuid=1000 id -u",
    ].join("; ");
    const output = await run(daemon, script, { ...AUTO, Tmpfs: { "/tmp": "" } }, { Hostname: "box" });
    expect(output).toBe(
      "0\nbox\n0 755\n0 755\n0 644\n0 1777\n1\n1\n0\n65534\n/sys/fs/cgroup\n1000\n1000\n".replace(
        "1\n1\n0\n",
        "1\n1\n0\n",
      ),
    );
    expect(
      await run(daemon, "touch /x 2>&1; touch /tmp/y && echo tmp", {
        ...AUTO,
        ReadonlyRootfs: true,
        Tmpfs: { "/tmp": "" },
      }),
    ).toMatch(/Read-only file system\ntmp\n$/);
    const terminal = await daemon.run(body("tty; id -u; stat -c %u /dev/console", AUTO, { Tty: true, User: "user" }));
    await daemon.request("POST", `/containers/${terminal}/wait`);
    expect((await daemon.request("GET", `/containers/${terminal}/logs?stdout=1`)).text).toBe(
      "/dev/pts/0\r\n1000\r\n1000\r\n",
    );
    const devices = [{ PathOnHost: "/dev/null", PathInContainer: "/dev/mine", CgroupPermissions: "rwm" }];
    expect(
      await run(daemon, "stat -c %F /dev/mine; echo >/dev/mine && echo written", { ...AUTO, Devices: devices }),
    ).toBe("character special file\nwritten\n");
    const modes = { ...AUTO, IpcMode: "host", UTSMode: "host" };
    expect(await run(daemon, "id -u; [ ! -e /dev/mqueue ] || ls /dev/mqueue >/dev/null", modes)).toBe("0\n");
  });

  rooted("shares network, processes and IPC with a container in its user namespace alone", async () => {
    await using daemon = await TestDaemon.start();
    const peer = await daemon.run(body("sleep 1000", AUTO));
    const plain = await daemon.run(body("sleep 1000"));
    const { Pid } = (await daemon.inspect(peer)).State;
    for (const host of [{ NetworkMode: `container:${peer}` }, { PidMode: `container:${peer}` }])
      expect(await run(daemon, "readlink /proc/self/ns/user", { ...AUTO, ...host })).toBe(
        `${readlinkSync(`/proc/${Pid}/ns/user`)}\n`,
      );
    expect(await refusal(daemon, { ...AUTO, NetworkMode: `container:${plain}` })).toEqual([
      409,
      `cannot share namespaces of "${plain}", which has the host's user namespace (use --userns=host)`,
    ]);
    expect(await run(daemon, "id -u; cat /proc/self/uid_map | tr -s ' '", { NetworkMode: `container:${peer}` })).toBe(
      "0\n 0 0 4294967295\n",
    );
  });
});

describe("files of a container in a user namespace", () => {
  rooted("are its own for diff, commit, export and cp, whether it runs or not", async () => {
    await using daemon = await TestDaemon.start();
    const id = await daemon.run(body("mkdir -p /d; echo hi >/d/f; chown 1000:1000 /d/f; sleep 1000", AUTO));
    while ((await exec(daemon, id, "stat -c %u /d/f 2>/dev/null")) !== "1000\n");
    const owners = (tar: string) => {
      const bytes = Buffer.from(tar, "latin1");
      const found: Record<string, number> = {};
      for (
        let at = 0;
        bytes[at];
        at += 512 + Math.ceil(Number.parseInt(bytes.toString("latin1", at + 124, at + 135), 8) / 512) * 512
      )
        found[bytes.toString("latin1", at, at + 100).replace(/\0.*$/s, "")] = Number.parseInt(
          bytes.toString("latin1", at + 108, at + 115),
          8,
        );
      return found;
    };
    const upload = rawTar({ name: "up", content: "x", uid: 7, gid: 8 } as never);
    for (const state of ["running", "stopped"]) {
      if (state === "stopped") await daemon.request("POST", `/containers/${id}/stop?t=0`);
      expect((await daemon.request("GET", `/containers/${id}/changes`)).json).toContainEqual({ Path: "/d/f", Kind: 1 });
      const copied = await daemon.request("GET", `/containers/${id}/archive?path=/d`);
      expect(owners(copied.text)).toMatchObject({ "d/": 0, "d/f": 1000 });
      expect(owners((await daemon.request("GET", `/containers/${id}/export`)).text)).toMatchObject({ "d/f": 1000 });
      const put = await daemon.request("PUT", `/containers/${id}/archive?path=/d`, upload);
      expect([put.status, put.text]).toEqual([200, ""]);
      expect(owners((await daemon.request("GET", `/containers/${id}/archive?path=/d/up`)).text)).toEqual({ up: 7 });
      const tooHigh = await daemon.request(
        "PUT",
        `/containers/${id}/archive?path=/d`,
        rawTar({ name: "no", uid: 70000 } as never),
      );
      expect([tooHigh.status, tooHigh.json.message]).toEqual([
        400,
        "uid 70000 is not one of the container's, which is in a user namespace",
      ]);
    }
    await daemon.request("POST", `/commit?container=${id}&repo=made`);
    expect(await outputOf(daemon, await daemon.run({ ...body("stat -c %u /d/f /d/up", {}), Image: "made" }))).toBe(
      "1000\n7\n",
    );
  });

  rootedWith(
    "setcap",
    "getcap",
    "setfacl",
    "getfacl",
    "setpriv",
  )("keep capabilities and access lists on the way out and in", async () => {
    await using daemon = await TestDaemon.start();
    const make = [
      "mkdir /d && cp /bin/cat /d/cat && setcap cap_net_raw+ep /d/cat && setfacl -m u:1000:r,g:7:x /d/cat",
      "touch /ready; sleep 1000",
    ].join("; ");
    const id = await daemon.run(body(make, AUTO));
    while ((await exec(daemon, id, "ls /ready 2>/dev/null")) !== "/ready\n");
    const tar = await daemon.request("GET", `/containers/${id}/archive?path=/d/cat`);
    const show =
      "cd $0; getfacl -cn cat; getcap cat; setpriv --reuid=1 --clear-groups ./cat /proc/self/status | grep CapEff";
    const shown = (directory: string) => show.replace("$0", directory);
    const original = await exec(daemon, id, shown("/d"));
    expect(original).toContain("user:1000:r--\ngroup::");
    expect(original).toContain("cat cap_net_raw=ep\nCapEff:\t0000000000002000\n");
    for (const [mode, where] of [
      [AUTO, "auto"],
      [{}, "host"],
    ] as const) {
      const other = await daemon.run(body("sleep 1000", mode), where);
      const put = await daemon.request(
        "PUT",
        `/containers/${other}/archive?path=/etc`,
        Buffer.from(tar.text, "latin1"),
      );
      expect([put.status, put.text]).toEqual([200, ""]);
      expect(await exec(daemon, other, shown("/etc"))).toBe(original);
    }
    await daemon.request("POST", `/commit?container=${id}&repo=made`);
    expect(await outputOf(daemon, await daemon.run({ ...body(shown("/d")), Image: "made" }))).toBe(original);
  });

  rooted("are the container's ids on disk, where nobody of another container or of the host may go", async () => {
    await using daemon = await TestDaemon.start();
    const script = "cp /bin/id /suid; chmod 4755 /suid; sleep 1000";
    const [a, b] = [await daemon.run(body(script, AUTO)), await daemon.run(body("sleep 1000", AUTO))];
    while ((await exec(daemon, a, "stat -c %a /suid 2>/dev/null")) !== "4755\n");
    const upper = join(daemon.dataRoot, "containers", a, "upper");
    expect(lstatSync(join(upper, "suid")).uid).toBe(0);
    // As the other container's root would be on the host, had it come out: the first one's files are out of reach.
    chmodSync(daemon.directory, 0o711);
    const uid = await firstIdOf(daemon, b);
    // A shell in between: setpriv itself executes with the rights that it had.
    const attempt = (...argv: string[]) =>
      Bun.spawnSync([
        "setpriv",
        `--reuid=${uid}`,
        `--regid=${uid}`,
        "--clear-groups",
        "sh",
        "-c",
        'exec "$@"',
        "sh",
        ...argv,
      ]);
    for (const argv of [
      ["ls", upper],
      [join(upper, "suid"), "-u"],
      ["touch", join(upper, "x")],
    ]) {
      const { stderr } = attempt(...argv);
      expect(stderr.toString()).toContain("Permission denied");
    }
    expect(attempt("id", "-u").stdout.toString()).toBe(`${uid}\n`); // it is that user
  });

  rooted("in a volume have the container's ids for whoever shares it", async () => {
    await using daemon = await TestDaemon.start();
    await run(daemon, "echo one >/v/root; echo two >/v/user; chown 1000:1000 /v/user; chmod 600 /v/*", {
      ...AUTO,
      Binds: ["shared:/v"],
    });
    const volume = join(daemon.dataRoot, "volumes/shared/_data");
    expect([lstatSync(join(volume, "root")).uid, lstatSync(join(volume, "user")).uid]).toEqual([0, 1000]);
    for (const host of [AUTO, { UsernsMode: "auto:size=2000" }, {}])
      expect(
        await run(daemon, "cat /v/root /v/user; stat -c %u /v/root /v/user; echo >>/v/root", {
          ...host,
          Binds: ["shared:/v"],
        }),
      ).toMatch(/^one\n+two\n0\n1000\n$/);
    const mounts = [{ Type: "volume", Source: "shared", Target: "/part", VolumeOptions: { Subpath: "user" } }];
    expect(await run(daemon, "stat -c %u /part; cat /part", { ...AUTO, Mounts: mounts })).toBe("1000\ntwo\n");
  });

  rooted("of the host, bound into it, are nobody's: its root may not touch what is root's", async () => {
    await using daemon = await TestDaemon.start();
    const directory = join(daemon.directory, "host");
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(join(directory, "secret"), "s", { mode: 0o600 });
    writeFileSync(join(directory, "public"), "p", { mode: 0o644 });
    copyFileSync("/bin/id", join(directory, "suid"));
    chmodSync(join(directory, "suid"), 0o4755);
    const script = [
      "cat /h/public; stat -c ' %u' /h/secret; cat /h/secret",
      "echo x >/h/public; rm -f /h/public; mv /h/public /h/p; chmod 777 /h/public; chown 0 /h/public; touch /h/new",
      "setpriv --reuid=1000 /h/suid -u",
    ].join("; ");
    const output = await run(daemon, `(${script}) 2>&1`, { ...AUTO, Binds: [`${directory}:/h`] });
    expect(output).toStartWith("p 65534\n");
    expect(output.match(/Permission denied|Operation not permitted/g)).toHaveLength(7);
    // Set-user-id of a user whom the namespace does not have counts for nothing.
    expect(output).toEndWith("\n1000\n");
    expect(existsSync(join(directory, "new"))).toBe(false);
  });
});

describe("--userns-remap", () => {
  rooted("default: all containers in one range, but for those that say host", async () => {
    await using daemon = await TestDaemon.start({ flags: ["--userns-remap", "default"] });
    const ids = [await daemon.run(body("sleep 1000")), await daemon.run(body("sleep 1000"))];
    for (const id of ids) expect(await firstIdOf(daemon, id)).toBe(FIRST_OF_POOL);
    expect((await daemon.inspect(ids[0]!)).HostConfig.UsernsMode).toBe("");
    const host = await daemon.run(body("sleep 1000", { UsernsMode: "host", Privileged: true }));
    expect(await firstIdOf(daemon, host)).toBe(0);
    const auto = await daemon.run(body("sleep 1000", AUTO));
    expect(await firstIdOf(daemon, auto)).toBe(FIRST_OF_POOL + COUNT);
    expect((await daemon.request("GET", "/info")).json.SecurityOptions).toContain("name=userns");
    expect((await refusal(daemon, { Privileged: true }))[0]).toBe(400);
    expect((await refusal(daemon, { NetworkMode: "host" }))[0]).toBe(400);
  });

  rooted("auto: each container in a range of its own", async () => {
    await using daemon = await TestDaemon.start({ flags: ["--userns-remap", "auto"] });
    const ids = [await daemon.run(body("sleep 1000")), await daemon.run(body("sleep 1000"))];
    expect([await firstIdOf(daemon, ids[0]!), await firstIdOf(daemon, ids[1]!)]).toEqual([
      FIRST_OF_POOL,
      FIRST_OF_POOL + COUNT,
    ]);
  });

  rooted("a user without subordinate ids: the daemon does not start, and says why", () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-userns-"));
    try {
      const roots = ["--data-root", join(directory, "data"), "--exec-root", join(directory, "run")];
      const argv = ["daemon", "-H", `unix://${directory}/s`, ...roots, "--userns-remap", "daemon"];
      const { exitCode, stderr } = Bun.spawnSync([daemonProgram, ...argv]);
      expect(exitCode).toBe(1);
      expect(stderr.toString()).toContain('userns-remap: no subuid ranges found for user "daemon" in /etc/subuid');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
