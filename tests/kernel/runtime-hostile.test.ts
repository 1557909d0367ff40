import { describe, expect } from "bun:test";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { OciMount } from "../../src/spec/oci-runtime.ts";
import { until } from "../support/eventually.ts";
import { failureOf, finish, isRoot, makeRootfs, parentOf, rooted, Stage } from "../support/stage.ts";

/* Images and configs that were made to break out. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);

const SYS_RENAMEAT2 = process.arch === "arm64" ? 276 : 316;

/** Path, kind and content of all that is below a directory. */
function contentsOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const stats = lstatSync(join(directory, name));
      return `${name} ${stats.mode.toString(8)} ${stats.size} ${stats.mtimeMs}`;
    });
}

let roots = 0;

/** A root file system for one test, and beside it what must not be touched. */
function hostileRoot(): { root: string; outside: string } {
  const directory = join(stage.directory, `hostile-${roots++}`);
  const root = join(directory, "a/b/root");
  makeRootfs(root);
  const outside = join(directory, "outside");
  mkdirSync(join(outside, "sub"), { recursive: true });
  writeFileSync(join(outside, "marker"), "untouched");
  return { root, outside };
}

const withRoot = (root: string, mounts: OciMount[] = []) => ({
  change: (config: { root?: { path: string }; mounts?: OciMount[] }) => {
    config.root = { path: root };
    config.mounts!.push(...mounts);
  },
});

describe("an image", () => {
  for (const name of ["dev", "proc", "sys", "etc"])
    for (const kind of ["absolute", "relative", "inside"] as const)
      rooted(`whose /${name} is a symbolic link (${kind}) is refused, and nothing is made outside`, async () => {
        const { root, outside } = hostileRoot();
        rmSync(join(root, name), { recursive: true });
        const target = { absolute: outside, relative: "../../../outside", inside: "tmp" }[kind];
        symlinkSync(target, join(root, name));
        const before = contentsOf(outside);
        expect(await failureOf(stage.run(["/bin/true"], withRoot(root)))).toMatchObject({
          code: "kernel",
          detail: { errno: "ELOOP" },
          message: expect.stringContaining(`/${name} must be mounted on ordinary directory`),
        });
        expect(contentsOf(outside)).toEqual(before);
        expect(readdirSync(join(root, "tmp"))).toEqual([]);
      });

  for (const [name, text] of [
    ["absolute", (outside: string) => outside],
    ["relative", () => "../../../../../../../../../../../outside"],
    ["through /proc", () => "/proc/self/root"],
    ["magic", () => "/proc/1/cwd"],
  ] as [string, (outside: string) => string][])
    rooted(`with a symbolic link on the way to a mount (${name}) gets the mount inside, or an error`, async () => {
      const { root, outside } = hostileRoot();
      symlinkSync(text(outside), join(root, "data/link"));
      const before = contentsOf(outside);
      const mounts: OciMount[] = [
        { destination: "/data/link/sub/new", type: "tmpfs", source: "tmpfs", options: ["size=64k"] },
        { destination: "/data/link/file", type: "bind", source: "/etc/passwd", options: ["bind", "ro"] },
      ];
      const outcome = await stage
        .run("cat /proc/self/mountinfo | cut -d' ' -f5", withRoot(root, mounts))
        .catch((error: { code: string; detail: { errno: string } }) => error);
      if ("stdout" in outcome) expect(outcome.stdout).toContain("/sub/new\n");
      else
        expect(outcome).toMatchObject({
          code: "kernel",
          detail: { errno: expect.stringMatching(/ELOOP|EXDEV|ENOENT/) },
        });
      expect(contentsOf(outside)).toEqual(before);
    });

  rooted("whose mount target is a dangling link gets it where the link points, inside", async () => {
    const { root, outside } = hostileRoot();
    symlinkSync("../run/resolve/stub.conf", join(root, "etc/resolv.conf"));
    symlinkSync(join(outside, "made/dir"), join(root, "data/dangling"));
    symlinkSync("loop2", join(root, "data/loop1"));
    symlinkSync("loop1", join(root, "data/loop2"));
    const before = contentsOf(outside);
    const bind = (destination: string, source: string): OciMount => ({
      destination,
      type: "bind",
      source,
      options: ["bind"],
    });
    const { stdout } = await stage.run(
      "stat -Lc %i /etc/resolv.conf; cat /run/resolve/stub.conf; ls /data/dangling",
      withRoot(root, [bind("/etc/resolv.conf", join(outside, "marker")), bind("/data/dangling", outside)]),
    );
    expect(stdout).toBe(`${lstatSync(join(outside, "marker")).ino}\nuntouchedmarker\nsub\n`);
    expect(existsSync(join(root, "run/resolve/stub.conf"))).toBe(true);
    expect(existsSync(join(root, outside, "made/dir"))).toBe(true);
    expect(contentsOf(outside)).toEqual(before);
    expect(
      await failureOf(stage.run(["/bin/true"], withRoot(root, [bind("/data/loop1", "/etc/passwd")]))),
    ).toMatchObject({ code: "kernel", detail: { errno: "ELOOP" } });
  });

  rooted("whose /dev/pts/ptmx, /dev/console or /dev/shm is something else is refused, or covered", async () => {
    const { root, outside } = hostileRoot();
    const before = contentsOf(outside);
    // /dev from the image itself: no tmpfs covers what it planted.
    const change = (config: { root?: { path: string }; mounts?: OciMount[] }) => {
      config.root = { path: root };
      config.mounts = config.mounts!.filter(({ destination }) => !destination.startsWith("/dev"));
    };
    mkdirSync(join(root, "dev/pts"));
    writeFileSync(join(root, "dev/pts/ptmx"), "");
    expect(await failureOf(stage.run(["/bin/true"], { terminal: true, change }))).toMatchObject({
      code: "kernel",
      message: expect.stringContaining("/dev/pts is a devpts"),
    });
    rmSync(join(root, "dev/pts/ptmx"));
    symlinkSync("/dev/ptmx", join(root, "dev/pts/ptmx"));
    expect(await failureOf(stage.run(["/bin/true"], { terminal: true, change }))).toMatchObject({
      code: "kernel",
      detail: { errno: "ELOOP" },
    });
    rmSync(join(root, "dev/pts"), { recursive: true });
    symlinkSync(outside, join(root, "dev/shm"));
    const shm: OciMount = { destination: "/dev/shm/x", type: "tmpfs", source: "shm" };
    const started = stage.run(["/bin/true"], {
      change: (config) => {
        change(config);
        config.mounts!.push(shm);
      },
    });
    expect(await failureOf(started)).toMatchObject({ code: "kernel", detail: { errno: "ELOOP" } });
    expect(contentsOf(outside)).toEqual(before);
  });

  rooted("that is changed while its container is set up never gets anything outside", async () => {
    const { root, outside } = hostileRoot();
    const before = contentsOf(outside);
    const swapped = join(root, "data/swapped");
    const spare = join(root, "data/spare");
    mkdirSync(swapped);
    symlinkSync(outside, spare);
    const mounts: OciMount[] = [
      { destination: "/data/swapped/x/y", type: "tmpfs", source: "tmpfs", options: ["size=64k"] },
    ];
    const { change } = withRoot(root, mounts);
    const exchange = `my ($a, $b) = @ARGV; $| = 1; print "on\n"; syscall(${SYS_RENAMEAT2}, -100, $a, -100, $b, 2) while 1`;
    const attacker = spawn("perl", ["-e", exchange, swapped, spare], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(attacker.stdout, "data");
      const outcomes: string[] = [];
      for (let i = 0; i < 40; i++)
        outcomes.push(
          await stage.run(["/bin/true"], { change }).then(
            () => "ran",
            (error: { detail: { errno: string } }) => error.detail.errno,
          ),
        );
      expect(outcomes.filter((outcome) => !["ran", "EXDEV", "ENOENT", "EAGAIN", "ELOOP"].includes(outcome))).toEqual(
        [],
      );
    } finally {
      attacker.kill("SIGKILL");
    }
    expect(contentsOf(outside)).toEqual(before);
  });
});

describe("a config", () => {
  rooted("may not mount over /proc or into it", async () => {
    const bind = (destination: string): OciMount => ({ destination, type: "bind", source: "/etc", options: ["bind"] });
    for (const destination of ["/proc/self/attr", "/proc/self/attr/exec", "/proc/../proc/sys", "/proc/self"])
      expect(await failureOf(stage.run(["/bin/true"], withRoot(stage.rootfs, [bind(destination)])))).toMatchObject({
        code: "invalid",
        message: expect.stringContaining("/proc"),
      });
    expect(await failureOf(stage.run(["/bin/true"], withRoot(stage.rootfs, [bind("/proc")])))).toMatchObject({
      code: "kernel",
      detail: { errno: "EXDEV" },
      message: expect.stringContaining("only a procfs"),
    });
    const tmpfs: OciMount = { destination: "/proc", type: "tmpfs", source: "tmpfs" };
    expect(await failureOf(stage.run(["/bin/true"], withRoot(stage.rootfs, [tmpfs])))).toMatchObject({
      code: "invalid",
    });
  });

  rooted("whose bind source is missing is refused, in words that are not the entrypoint's", async () => {
    const mount: OciMount = { destination: "/data/x", type: "bind", source: "/nowhere/at/all", options: ["rbind"] };
    const error = (await failureOf(stage.run(["/bin/true"], withRoot(stage.rootfs, [mount])))) as Error;
    expect(error).toMatchObject({ code: "kernel", detail: { errno: "ENOENT" } });
    expect(error.message).toContain("/nowhere/at/all");
    expect(error.message).not.toContain("no such file or directory");
  });
});

describe("the launcher", () => {
  const digest = () => createHash("sha256").update(readFileSync("dist/launcher")).digest("hex");
  /** Tries to open a file for writing, to truncate it, and reads its seals. */
  const attack = (path: string) => `
    use Fcntl; my $p = "${path}";
    print "write: ", (sysopen(my $f, $p, O_WRONLY) ? "opened" : $!), "\\n";
    print "truncate: ", (truncate($p, 0) ? "done" : $!), "\\n";
    if (sysopen(my $r, $p, O_RDONLY)) { my $seals = fcntl($r, 1034, 0); print "seals: ", $seals + 0, "\\n"; }
    print "mode: ", (chmod(0777, $p) ? "changed" : $!), "\\n";`;

  rooted("that waits in a created container cannot be written, not even by the host's root", async () => {
    const before = digest();
    const request = stage.request(["/bin/true"], { attach: [] });
    const created = await stage.runtime.create(request);
    try {
      for (const pid of [created.pid, parentOf(created.pid)]) {
        const { stdout } = Bun.spawnSync(["perl", "-e", attack(`/proc/${pid}/exe`)]);
        const text = stdout.toString();
        expect(text).toMatch(/^write: (Operation not permitted|Text file busy)\n/);
        expect(text).toMatch(/^truncate: (Operation not permitted|Text file busy)$/m);
        expect(Number(/^seals: (\d+)$/m.exec(text)![1]) & 0xf).toBe(0xf);
      }
    } finally {
      await created.signal(9);
      await created.gone;
    }
    expect(digest()).toBe(before);
  });

  rooted("cannot be reached from the container before or after execve", async () => {
    const before = digest();
    const sleeper = await stage.sleeper();
    // The sleeper's /proc/1/exe is its own program, on a read-only mount.
    const own = await stage.exec(sleeper, ["/usr/bin/perl", "-e", attack("/proc/1/exe")]);
    expect(own.stdout).toMatch(/^write: (Read-only file system|Text file busy|Permission denied)/);
    // An exec that is set up while this looks: its exe, as far as it may be seen at all, is not writable.
    const looking = `
      use Fcntl; my ($seen, $written) = (0, 0); my $end = time + 2;
      while (time < $end) {
        opendir(my $d, "/proc"); for my $pid (grep { /^\\d+$/ && $_ > 1 && $_ != $$ } readdir($d)) {
          $seen++; for my $link ("exe", "fd/0", "fd/3", "cwd", "root") {
            next unless -f "/proc/$pid/$link" or $link eq "exe";
            my $target = readlink("/proc/$pid/$link") // next; next unless $target =~ /memfd|launcher/;
            $written++ if sysopen(my $f, "/proc/$pid/$link", O_WRONLY);
          }
        }
      }
      print "written $written\\n"; print "seen ", ($seen > 0 ? "some" : "none"), "\\n";`;
    const watching = stage.exec(sleeper, ["/usr/bin/perl", "-e", looking]);
    let watched = false;
    void watching.finally(() => {
      watched = true;
    });
    while (!watched) await stage.exec(sleeper, ["/bin/true"]);
    expect((await watching).stdout).toBe("written 0\nseen some\n");
    await sleeper.end();
    expect(digest()).toBe(before);
  });

  rooted("is as before after an image whose program is /proc/self/exe has run it, also by exec", async () => {
    const before = digest();
    const { root } = hostileRoot();
    writeFileSync(join(root, "data/evil"), "#!/proc/self/exe\n");
    chmodSync(join(root, "data/evil"), 0o755);
    symlinkSync("/proc/self/exe", join(root, "data/evil-link"));
    const sleeper = await stage.sleeper(withRoot(root));
    for (const program of ["/data/evil", "/data/evil-link", "/proc/self/exe", "/proc/1/exe"]) {
      for (const start of [() => stage.run([program], withRoot(root)), () => stage.exec(sleeper, [program])])
        await start().then(
          ({ exitCode }) => expect(exitCode).not.toBe(0),
          (error: { code: string }) => expect(error.code).toMatch(/exec-denied|exec-not-found/),
        );
    }
    await sleeper.end();
    expect(digest()).toBe(before);
    // And the runtime, whose memfd it is, still starts containers.
    expect(await stage.run("echo fine")).toMatchObject({ stdout: "fine\n" });
  });

  rooted("leaves no fd of its own in the container, and its socket is root's alone", async () => {
    const sleeper = await stage.sleeper();
    // After execve the dynamic linker has libraries open for a moment; what is still there later is ours.
    await until(() => readdirSync(`/proc/${sleeper.pid}/fd`).sort().join(" ") === "0 1 2", "only stdio is open");
    expect(lstatSync(join(sleeper.request.runDirectory, "supervisor.sock")).mode & 0o777).toBe(0o600);
    expect(lstatSync(sleeper.request.runDirectory).mode & 0o777).toBe(0o700);
    const supervisor = parentOf(sleeper.pid);
    const targets = readdirSync(`/proc/${supervisor}/fd`).map((fd) => readlinkSync(`/proc/${supervisor}/fd/${fd}`));
    const own = /^(\/dev\/null|socket:\[\d+\]|pipe:\[\d+\]|anon_inode:\[signalfd\]|\/sys\/fs\/cgroup\/.*)$/;
    expect(targets.filter((target) => !own.test(target))).toEqual([]);
    expect(targets.length).toBeLessThanOrEqual(9);
    expect(readFileSync(`/proc/${supervisor}/environ`, "utf8")).toBe("");
    await sleeper.end();
  });
});

rooted("a socket that talks nonsense is dropped, and the others are served", async () => {
  const sleeper = await stage.sleeper();
  const { connectUnix } = await import("../../src/linux/process/attached.ts");
  const path = join(sleeper.request.runDirectory, "supervisor.sock");
  const nonsense = [
    Buffer.alloc(64, 0xff),
    Buffer.from([0x21, 0, 0, 0, 0, 0, 0, 2, 1, 1]),
    Buffer.from([0x20, 0, 0, 0, 0, 0, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 1, 9]),
    Buffer.from([0x22, 0, 0, 0, 0, 0, 0, 4, 9, 0, 0, 0]),
    Buffer.from([0x20, 0, 0, 0, 1, 0, 0, 0]),
  ];
  for (const bytes of nonsense) {
    const socket = await connectUnix(path);
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.resume();
    socket.write(bytes);
    await closed;
  }
  // More than it takes at a time: the surplus is closed.
  const silent = await Promise.allSettled(Array.from({ length: 200 }, () => connectUnix(path)));
  for (const each of silent) if (each.status === "fulfilled") each.value.on("error", () => {}).destroy();
  expect(await sleeper.container.signal(0)).toBe(true);
  expect(await finish(await stage.runtime.exec(stage.execRequest(sleeper, "echo alive")))).toMatchObject({
    stdout: "alive\n",
  });
  await sleeper.end();
});

rooted("a root file system that is gone or empty is a clear error", async () => {
  const { root } = hostileRoot();
  rmSync(root, { recursive: true });
  expect(await failureOf(stage.run(["/bin/true"], withRoot(root)))).toMatchObject({
    code: "kernel",
    detail: { errno: "ENOENT" },
    message: expect.stringContaining("the root"),
  });
  mkdirSync(root);
  const error = await failureOf(
    stage.run(["/bin/true"], {
      change: (config) => {
        config.root = { path: root };
        config.mounts = [];
      },
    }),
  );
  expect(error).toMatchObject({ code: "exec-not-found" });
});
