// needs: cc
/**
 * The known escapes, tried once more by root of a machine: it has a user namespace of its own, all capabilities in there, may mount
 * what the kernel lets it, and changes its own root file system before and while the host works on it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { type RawHeader, rawTar } from "../support/image-tar.ts";
import { missing } from "../support/missing.ts";
import { isEmulated } from "../support/sample.ts";
import { isRoot } from "../support/stage.ts";
import { describeIf } from "../support/test-if.ts";

const TAR = { "Content-Type": "application/x-tar" };
const SECRET = "SECRET-OF-THE-HOST";
const TIMEOUT_MS = 180_000;
/** How often a race is tried: what a racer does has to fall between two system calls. */
const ROUNDS = isEmulated ? 5 : 40;
const LIMITS = { Memory: 256 << 20, PidsLimit: 200 };

let daemon: TestDaemon;
/** A directory of the host's that no machine is given. */
let outside: string;
/** A directory that every machine has, read-only, at its own path. */
let tools: string;

const whyNot = (isRoot ? undefined : "needs root") ?? missing("cc", "perl");

const root: RawHeader[] = [
  ...["bin", "sbin", "lib", "lib64"].map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
  { name: "etc/passwd", content: "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/:/bin/sh\n" },
  { name: "etc/group", content: "root:x:0:\nbob:x:1001:\nextra:x:1002:bob\n" },
];

beforeAll(async () => {
  if (whyNot !== undefined) return;
  outside = mkdtempSync(join(tmpdir(), "lighter-outside-"));
  mkdirSync(join(outside, "sub"), { mode: 0o755 });
  for (const name of ["secret", "sub/secret"]) writeFileSync(join(outside, name), SECRET, { mode: 0o644 });
  tools = mkdtempSync(join(tmpdir(), "lighter-tools-"));
  chmodSync(tools, 0o755);
  const built = spawnSync("cc", ["-static", "-O1", "-o", join(tools, "attacker"), "tests/support/attacker.c"]);
  if (built.status !== 0) throw new Error(`attacker.c does not build: ${built.stderr}`);
  daemon = await TestDaemon.start();
  await load("attacks:1", root);
});
afterAll(async () => {
  if (whyNot !== undefined) return;
  await daemon?.[Symbol.asyncDispose]();
  for (const path of [outside, tools]) rmSync(path, { recursive: true });
});

async function load(tag: string, entries: RawHeader[], config: object = {}): Promise<void> {
  const { status, text } = await daemon.request(
    "POST",
    "/images/load",
    dockerArchive({ layers: [rawTar(...entries)], tags: [tag], config }),
    TAR,
  );
  expect([status, text]).toEqual([200, text]);
}

const bodyOf = (body: object = {}, hostConfig: { Binds?: string[] } & object = {}) => ({
  Image: "attacks:1",
  Cmd: ["/bin/sleep", "1000000"],
  ...body,
  HostConfig: {
    Runtime: "machine",
    NetworkMode: "none",
    ...LIMITS,
    ...hostConfig,
    Binds: ["/usr:/usr:ro", `${tools}:${tools}:ro`, ...(hostConfig.Binds ?? [])],
  },
});
const start = (body: object = {}, hostConfig: { Binds?: string[] } & object = {}) =>
  daemon.run(bodyOf(body, hostConfig));
const remove = (id: string) => daemon.request("DELETE", `/containers/${id}?force=1&v=1`);

async function exec(id: string, script: string, more: object = {}): Promise<string> {
  const body = { Cmd: ["/bin/sh", "-c", script], AttachStdout: true, AttachStderr: true, Tty: true, ...more };
  const { status, json, text } = await daemon.request("POST", `/containers/${id}/exec`, body);
  if (status !== 201) return `refused: ${text}`;
  const started = await daemon.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
  return (await started.untilEnd()).replaceAll("\r\n", "\n");
}

/** Path, kind, owner, size and time of all that is in a directory, itself among it. */
function contentsOf(path: string): string[] {
  const stat = lstatSync(path);
  const line = `${path} ${stat.mode.toString(8)} ${stat.uid} ${stat.size} ${stat.mtimeMs}`;
  const names = stat.isDirectory() ? readdirSync(path).sort() : [];
  return [line, ...names.flatMap((name) => contentsOf(join(path, name)))];
}

const digest = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Mounts a file system in a directory of its own, and runs commands there. */
const mounted = (type: string, options: string, commands: string) =>
  `d=$(mktemp -d) && mount -t ${type} ${options} none $d && cd $d && ${commands}`;
const RELEASE_AGENT = ["memory", "cpu", "devices", "pids", "none,name=systemd"]
  .map((name) => `(${mounted("cgroup", `-o ${name}`, "echo /x >release_agent")})`)
  .join(" || ");
/** Files that can be written and are not those of a namespace of its own. */
const writableIn = (directory: string, ...own: string[]) =>
  `find -P ${directory} -xdev -type f -writable ${own.map((path) => `-not -path '${path}'`).join(" ")} | grep .`;
const OWN_SETTINGS = ["*/sys/net/*", "*/sys/user/*", "*/sys/fs/mqueue/*"].concat(
  ["hostname", "domainname", "ns_last_pid", "sem", "msg*", "shm*", "pid_max", "auto_msgmni", "sem_next_id"].map(
    (name) => `*/sys/kernel/${name}`,
  ),
);
const DENIED_CALLS = {
  bpf: 321,
  perf_event_open: 298,
  userfaultfd: 323,
  io_uring_setup: 425,
  open_by_handle_at: 304,
  init_module: 175,
  swapon: 167,
  acct: 163,
};

/** What root of a machine tries, in there: a script that succeeds, or says anything, if it has got out. `$out` is the host's directory. */
const ATTEMPTS: [name: string, script: string][] = [
  ["release_agent of a mounted hierarchy (CVE-2022-0492)", RELEASE_AGENT],
  [
    "release_agent by way of another user namespace (CVE-2022-0492)",
    `unshare -UrmC sh -c ${JSON.stringify(RELEASE_AGENT)}`,
  ],
  [
    "system calls that reach into the kernel (CVE-2022-0185)",
    process.arch === "x64"
      ? `perl -e 'for (${Object.values(DENIED_CALLS)}) { $! = 0; syscall($_, 0, 0, 0, 0, 0, 0); print "$_ " if $! != 1 }' | grep .`
      : "false",
  ],
  ["settings of the host", writableIn("/proc/sys", ...OWN_SETTINGS)],
  [
    "settings of the host in a procfs of its own",
    mounted("proc", "", writableIn(".", "*/[0-9]*", "*/pressure/*", ...OWN_SETTINGS)),
  ],
  ["core_pattern (CVE-2025-31133)", "echo x >/proc/sys/kernel/core_pattern"],
  ["sysrq", "echo h >/proc/sysrq-trigger"],
  [
    "sysrq below a mask that was taken away",
    "umount /proc/sysrq-trigger; mount -o remount,rw,bind /proc; echo h >/proc/sysrq-trigger",
  ],
  ["the kernel's memory", "umount /proc/kcore; head -c 1 /proc/kcore | grep -q ."],
  ["the kernel's log", "umount /proc/kmsg; timeout 2 head -c 1 /proc/kmsg | grep -q . || dmesg | grep -q ."],
  ["/sys", `mount -o remount,rw,bind /sys; ${writableIn("/sys", "*/net/*", "/sys/fs/cgroup/*")}`],
  ["a sysfs of its own", mounted("sysfs", "", writableIn(".", "*/net/*"))],
  [
    "file systems that show the host",
    ["debugfs", "tracefs", "securityfs", "pstore", "efivarfs", "configfs", "devtmpfs"]
      .map((type) => `(${mounted(type, "", "ls -A | grep -q .")})`)
      .join(" || "),
  ],
  [
    "devices",
    "for n in 'b 8 0' 'b 254 0' 'c 1 1' 'c 1 11'; do mknod /tmp/node $n && head -c 1 /tmp/node && exit; done; false",
  ],
  ["devices on a file system of its own", mounted("tmpfs", "", "mknod node b 254 0 && head -c 1 node")],
  ["a read-only bind of the host's", "mount -o remount,rw,bind $tools; touch $tools/planted"],
  [
    "a read-only bind below another",
    "mkdir -p /tmp/t; mount --bind $tools /tmp/t; mount -o remount,rw,bind /tmp/t; touch /tmp/t/planted",
  ],
  [
    "the facts about its host",
    "mount -o remount,rw,bind /run/host; touch /run/host/planted || echo x >/run/host/container-uuid",
  ],
  [
    "the host's files by links of /proc",
    "for p in /proc/[0-9]*; do cat $p/root$out/secret $p/cwd$out/secret && exit; done; false",
  ],
  [
    "the host's files by open files (CVE-2024-21626)",
    'for f in /proc/[0-9]*/fd/*; do cat "$f$out/secret" "$f/../../../../../../../..$out/secret" && exit; done; false',
  ],
  ["the host's files by pid 1's namespaces", "nsenter -t 1 -a cat $out/secret"],
  [
    "the host's files by leaving a chroot",
    `perl -e 'mkdir "/tmp/c"; opendir(D, "/"); chroot "/tmp/c"; chdir D; chdir ".." for 1..99; chroot "."; exec "cat", "$ENV{out}/secret"'`,
  ],
  [
    "the host's files below the root that it unmounts",
    "unshare -m sh -c 'cd /; umount -l /; cat ..$out/secret .$out/secret'",
  ],
  ["its limits, by its cgroup (CVE-2023-25809)", limits("/sys/fs/cgroup")],
  [
    "its limits, by cgroups that it mounts",
    `(${mounted("cgroup2", "", limits("."))}) || (${mounted("cgroup", "-o memory", limits("."))})`,
  ],
  [
    "a cgroup above its own",
    "for d in /sys/fs/cgroup/.. /sys/fs/cgroup/unified/.. /sys/fs/cgroup/systemd/..; do [ -e $d/cgroup.procs ] && echo $$ >$d/cgroup.procs && exit; done; false",
  ],
  ["the time of day", 'date -s "@$(date +%s)" >/dev/null'],
  ["the processors of others", "chrt -f 50 true"],
  ["the memory of others", "echo -1000 >/proc/self/oom_score_adj"],
  [
    "inheritable and ambient capabilities (CVE-2022-24769)",
    "grep -E '^Cap(Inh|Amb):' /proc/self/status | grep -v 0000000000000000",
  ],
];

/** Writes into every file of limits that there is. */
function limits(directory: string): string {
  const files = [
    "memory.max",
    "pids.max",
    "cpu.max",
    "memory.limit_in_bytes",
    "pids.max",
    "devices.allow",
    "cgroup.max.depth",
  ];
  const find = `find ${directory} -maxdepth 2 ${files.map((name) => `-name ${name}`).join(" -o ")}`;
  return `for f in $(${find}); do (echo max >$f || echo 1000000 >$f) && echo $f && exit; done; false`;
}

describeIf(whyNot)("root of a machine", () => {
  let id = "";
  beforeAll(async () => {
    if (whyNot === undefined) id = await start();
  });

  test.each(ATTEMPTS)("does not get at %s", async (_, script) => {
    const before = [contentsOf(outside), contentsOf(tools)];
    const Env = [`out=${outside}`, `tools=${tools}`, "PATH=/usr/sbin:/usr/bin"];
    // In mounts of its own, as the next one has to find what this one changes.
    const quiet = `exec 3>&1 2>/dev/null; unshare -m sh -c '${script.replaceAll("'", "'\\''")}' && echo DONE >&3`;
    expect(await exec(id, quiet, { Env })).toBe("");
    expect([contentsOf(outside), contentsOf(tools)]).toEqual(before);
  });

  test("does not write into a volume that it has read-only", async () => {
    const own = await start({}, { Binds: ["lent:/lent:ro", `lent:/all:ro`] });
    const before = await exec(own, "ls -A /lent");
    const unlocked =
      "unshare -m sh -c 'mount -o remount,rw,bind /lent; touch /lent/planted'; mkdir /tmp/t; mount --bind /all /tmp/t";
    await exec(own, `${unlocked}; mount -o remount,rw,bind /tmp/t; touch /tmp/t/planted`);
    for (const path of ["/lent", "/all", "/tmp/t"])
      await exec(own, `mount -o remount,rw,bind ${path}; touch ${path}/planted; unshare -Urm touch ${path}/planted`);
    expect(await exec(own, "ls -A /lent")).toBe(before);
    expect(await exec(own, "umount /lent && mount -t tmpfs none /lent && touch /lent/own && ls /lent")).toBe("own\n");
    await remove(own);
  });

  test("has the limits that it was given, after all that", async () => {
    const candidates = [`lighter/${id}/memory.max`, `memory/lighter/${id}/memory.limit_in_bytes`];
    const files = candidates.map((name) => join("/sys/fs/cgroup", name)).filter((path) => existsSync(path));
    expect(files.map((path) => readFileSync(path, "utf8").trim())).toEqual([String(LIMITS.Memory)]);
  });

  test(
    "neither writes to nor enters a program of the host's while there are execs (CVE-2019-5736, CVE-2024-21626)",
    async () => {
      const before = [digest("dist/lighter"), digest("dist/launcher")];
      await exec(id, "printf '#!/proc/self/exe\\n' >/tmp/evil; chmod 755 /tmp/evil");
      let isOver = false;
      const watching = exec(id, `${tools}/attacker exes ${join(outside, "secret").slice(1)}`).finally(
        () => (isOver = true),
      );
      while (!isOver) {
        await exec(id, "true");
        for (const Cmd of [["/tmp/evil"], ["/proc/self/exe"]]) await exec(id, "", { Cmd });
      }
      expect(await watching).toBe("seen some writable 0 reached 0\n");
      expect([digest("dist/lighter"), digest("dist/launcher")]).toEqual(before);
    },
    TIMEOUT_MS,
  );

  test("gives execs no way out by a working directory, nor another user than asked (CVE-2024-21626, CVE-2026-30892)", async () => {
    for (let fd = 3; fd < 16; fd++) {
      const said = await exec(id, `cat .${outside}/secret ../../../../../..${outside}/secret`, {
        WorkingDir: `/proc/self/fd/${fd}`,
      });
      expect(said).not.toContain(SECRET);
    }
    for (const User of ["4294967296", "2147483648", "-1", "0x0", "1000:-1", "none"])
      expect([User, await exec(id, "id -u", { User })]).not.toEqual([User, "0\n"]);
    expect(await exec(id, "id -u; id -g; id -G", { User: "bob" })).toBe("1000\n1001\n1001 1002\n");
  });

  test("has nothing that the host reads or runs of it for the host (CVE-2019-14271, CVE-2022-1227, CVE-2024-9676)", async () => {
    const own = await start({ Env: ["PATH=/trap:/usr/bin"] });
    const before = contentsOf(outside);
    const plant = `mkdir /trap; for n in ps xz unpigz tar su runit-init; do printf '#!/bin/sh\\ntouch /SPRUNG\\n' >/trap/$n; done
      chmod 755 /trap/*; cp /trap/ps /etc/ld.so.preload; echo x:x:4242:4242::/:/bin/sh >/tmp/x
      ln -s ${outside}/secret /etc/mtab; ln -s ${outside}/secret /link; ln -s ${outside} /links`;
    await exec(own, plant);
    expect((await daemon.request("GET", `/containers/${own}/top`)).status).toBe(200);
    for (const path of ["/etc/mtab", "/link", "/links/secret", "/links"])
      expect((await daemon.request("GET", `/containers/${own}/archive?path=${path}`)).text).not.toContain(SECRET);
    const put = await daemon.request(
      "PUT",
      `/containers/${own}/archive?path=/links`,
      rawTar({ name: "planted", content: "x" }),
      TAR,
    );
    expect(put.status).not.toBe(200);
    for (const [name, make] of [
      ["a link", `ln -sf ${outside}/secret /etc/passwd`],
      ["a FIFO", "rm /etc/passwd; mkfifo /etc/passwd"],
    ] as const) {
      await exec(own, make);
      expect([name, await exec(own, "id -u", { User: "x" })]).not.toEqual([name, "0\n"]);
    }
    expect((await daemon.request("GET", `/containers/${own}/export`)).text).not.toContain(SECRET);
    expect((await daemon.request("GET", `/containers/${own}/changes`)).text).not.toContain("SPRUNG");
    expect(contentsOf(outside)).toEqual(before);
    await remove(own);
  });

  test("has no file of the host's written at its next start (CVE-2025-24965)", async () => {
    const before = contentsOf(outside);
    for (const make of [
      `ln -sf ${outside}/secret /etc/resolv.conf; ln -sf ${outside}/secret /etc/machine-id; ln -sf ${outside}/new /etc/hosts`,
      `ln -sf ../../../../../../..${outside}/secret /etc/resolv.conf`,
      "rm -f /etc/resolv.conf; mkfifo /etc/resolv.conf",
      `mv /etc /etc.old; ln -s ${outside} /etc`,
      `rm /etc; ln -s ../../../../..${outside}/sub /etc`,
    ]) {
      const own = await start({ Image: "attacks:1" });
      await exec(own, make);
      await daemon.request("POST", `/containers/${own}/restart?t=0`); // it may be refused
      expect(contentsOf(outside)).toEqual(before);
      await remove(own);
    }
  });

  test("gets nothing of the host by a volume that is its /dev (CVE-2025-31133, CVE-2025-52565)", async () => {
    const links =
      "ln -s /proc/sys/kernel/core_pattern /v/null; ln -s /proc/sysrq-trigger /v/console; mkdir /v/pts; ln -s /proc/kcore /v/ptmx";
    const maker = await start({}, { Binds: ["devices:/v"] });
    await exec(maker, links);
    const own = await daemon.create(bodyOf({}, { Binds: ["devices:/dev"] }));
    if ((await daemon.request("POST", `/containers/${own}/start`)).status === 204)
      expect(
        await exec(
          own,
          "exec 2>/dev/null; cat /proc/keys /proc/timer_list /proc/kmsg; echo x >/proc/keys && echo DONE",
        ),
      ).toBe("");
    for (const each of [own, maker]) await remove(each);
  });
});

describeIf(whyNot)("an image of a machine", () => {
  test.each(["dev", "proc", "sys", "run", "tmp", "etc", "var", "sbin"])(
    "whose /%s leads to the host has nothing made there (CVE-2023-27561, CVE-2026-41579)",
    async (name) => {
      const before = contentsOf(outside);
      for (const linkName of [outside, `../../../../../..${outside}`]) {
        const entries = root.filter((entry) => !`${entry.name}/`.startsWith(`${name}/`));
        await load("attacks:link", [...entries, { name, type: "2", linkName }], {
          Volumes: { "/../../etc": {}, "/sub/../../x": {} },
        });
        const created = await daemon.request("POST", "/containers/create", bodyOf({ Image: "attacks:link" }));
        if (created.status === 201) {
          await daemon.request("POST", `/containers/${created.json.Id}/start`);
          await remove(created.json.Id);
        }
        expect(contentsOf(outside)).toEqual(before);
      }
    },
  );
});

describeIf(whyNot)("a machine that races", () => {
  test(
    "gets nothing read, written or mounted outside, by cp and by starts of others (CVE-2018-15664, CVE-2021-30465)",
    async () => {
      const before = contentsOf(outside);
      const racer = await start({}, { Binds: ["raced:/raced"] });
      const prepare = `mkdir -p /raced/d/sub; echo mine >/raced/d/secret; ln -s ${outside} /raced/l`;
      await exec(racer, prepare);
      const racing = exec(racer, `exec ${tools}/attacker swap /raced/d /raced/l`);
      const upload = rawTar({ name: "planted", content: "planted" }, { name: "sub/", type: "5", mode: 0o777 });
      for (let round = 0; round < ROUNDS; round++) {
        const { text } = await daemon.request("GET", `/containers/${racer}/archive?path=/raced/d/secret`);
        expect(text).not.toContain(SECRET);
        await daemon.request("PUT", `/containers/${racer}/archive?path=/raced/d`, upload, TAR);
        if (round % 4 !== 0) continue;
        const { json } = await daemon.request(
          "POST",
          "/containers/create",
          bodyOf({ Cmd: ["/bin/cat", "/raced/d/sub/secret"] }, { Binds: ["raced:/raced", "other:/raced/d/sub"] }),
        );
        await daemon.request("POST", `/containers/${json.Id}/start`);
        expect((await daemon.request("GET", `/containers/${json.Id}/logs?stdout=1`)).text).not.toContain(SECRET);
        await remove(json.Id);
      }
      expect(contentsOf(outside)).toEqual(before);
      await remove(racer);
      await racing;
    },
    TIMEOUT_MS,
  );
});
