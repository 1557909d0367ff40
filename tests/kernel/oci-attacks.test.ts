// needs: cc busybox
import { afterEach, beforeEach, describe, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { OciConfig, OciMount } from "../../src/spec/oci-runtime.ts";
import { type Bundle, OciBox, type Ran, script } from "../support/oci-box.ts";
import { isEmulated, strideOf } from "../support/sample.ts";
import { isRoot, parentOf, rooted, Stage } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/*
 * The known escapes from OCI runtimes, tried on the command line as its callers run it. Races need hundreds of starts,
 * which one process makes through the library; each also has a few through the command line.
 */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const box = isRoot ? new OciBox(stage) : (undefined as unknown as OciBox);

/** How many starts a race has: what a racer does has to fall between two system calls. */
const RACE_STARTS = isEmulated ? 20 : 200;

const SECRET = "the host's own";
let outsides = 0;

/** A directory of the host's that no container is given. */
function outsideDirectory(): string {
  const path = join(box.directory, `outside-${outsides++}`);
  mkdirSync(join(path, "sub"), { recursive: true });
  writeFileSync(join(path, "secret"), SECRET);
  return path;
}

/** Path, kind, size and time of all that is in a directory. Links are not followed, as `recursive` would. */
function contentsOf(directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const stat = lstatSync(path);
      const line = `${path} ${stat.mode.toString(8)} ${stat.size} ${stat.mtimeMs}`;
      return stat.isDirectory() ? [line, ...contentsOf(path)] : [line];
    });
}

/** But for what others mount in scratch directories of theirs. */
const hostMounts = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => {
      const at = line.split(" ")[4] ?? "";
      return at.startsWith(stage.directory) || !at.startsWith(`${tmpdir()}/`);
    })
    .join("\n");
const words = (path: string) => readFileSync(path, "utf8").trim().split(/\s+/).join(" ");
const digest = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const bind = (destination: string, source: string, ...options: string[]): OciMount => ({
  destination,
  type: "bind",
  source,
  options: ["rbind", ...options],
});
const tmpfs = (destination: string): OciMount => ({ destination, type: "tmpfs", source: "tmpfs" });
const withoutDev = (config: OciConfig) => {
  config.mounts = config.mounts!.filter(({ destination }) => !destination.startsWith("/dev"));
};

const withoutMounts = (config: OciConfig) => {
  config.mounts = [];
};

/** The path of another runtime, if it is installed in that version; for the tests that show what it lets happen. */
function oldRuntime(name: string, version: RegExp): string | undefined {
  const path = Bun.which(name);
  if (!isRoot || path === null || isMended(name)) return undefined;
  return version.test(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout) ? path : undefined;
}

/** Debian's security updates mend holes of a version that stays. */
function isMended(name: string): boolean {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: for dpkg-query to fill in
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", "${Version}", name], { encoding: "utf8" });
  return /\+deb\d+u\d+$/.test(stdout ?? "");
}

/** No test may leave a mount or change one of the host's programs. */
let mountsBefore = "";
beforeEach(() => {
  mountsBefore = hostMounts();
});
afterEach(() => expect(hostMounts()).toBe(mountsBefore));

/**
 * Starts what `make` makes as often as a race needs, two at a time, and until one has come through. Their output, "" for those
 * that failed.
 */
async function startAll(make: () => OciConfig): Promise<string[]> {
  const outputs: string[] = [];
  const one = async () => {
    const config = make();
    const change = (own: OciConfig) => Object.assign(own, config, { linux: { ...config.linux, ...own.linux } });
    const args = config.process!.args!;
    outputs.push(
      await stage.run(args, { change, terminal: config.process!.terminal ?? false }).then(
        ({ stdout }) => `${stdout}.`,
        () => "",
      ),
    );
  };
  const isDecided = () => outputs.length >= RACE_STARTS && outputs.some((output) => output !== "");
  while (!isDecided() && outputs.length < 20 * RACE_STARTS) await Promise.all([one(), one()]);
  return outputs;
}

describe("the runtime's own program", () => {
  rooted("and its launcher are as before after an image whose programs are /proc/self/exe (CVE-2019-5736)", () => {
    const before = [digest("dist/lighter"), digest("dist/launcher")];
    const bundle = box.bundle(["/bin/sleep", "1000"]);
    script(join(bundle.rootfs, "bin/evil"), "#!/proc/self/exe\n");
    symlinkSync("/proc/self/exe", join(bundle.rootfs, "bin/evil-link"));
    const programs = ["/bin/evil", "/bin/evil-link", "/proc/self/exe", "/proc/1/exe"];
    box.running(bundle, () => {
      for (const program of programs.slice(0, 3)) expect(box.cli(["exec", bundle.id, program]).code).not.toBe(0);
    });
    for (const program of programs) {
      box.configure(bundle, [program], () => {});
      expect(box.run(bundle).code).not.toBe(0);
    }
    expect([digest("dist/lighter"), digest("dist/launcher")]).toEqual(before);
    box.configure(bundle, ["/bin/echo", "fine"], () => {});
    expect(box.run(bundle)).toEqual({ code: 0, out: "fine\n", err: "" });
  });

  rooted("cannot be written or entered by a container that watches execs (CVE-2019-5736, CVE-2024-21626)", async () => {
    const outside = outsideDirectory();
    const bundle = box.bundle(["/bin/sleep", "1000"]);
    await box.running(bundle, async () => {
      const args = ["--root", box.root, "exec", bundle.id, "/bin/attacker", "exes", join(outside, "secret").slice(1)];
      const watching = spawn(box.program, args, { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      watching.stdout.on("data", (bytes) => (output += bytes));
      let ended = false;
      const end = once(watching, "close").then(() => (ended = true));
      const leaked = openSync(outside, "r");
      while (!ended) {
        box.cli(["exec", bundle.id, "/bin/true"], { stdio: ["ignore", "ignore", "ignore", leaked] });
        await Promise.resolve();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await end;
      closeSync(leaked);
      expect(output).toBe("seen some writable 0 reached 0\n");
    });
  });

  rooted("is a sealed memfd while a created container waits", () => {
    const bundle = box.bundle(["/bin/true"]);
    const seals = `use Fcntl; sysopen(my $f, $ARGV[0], O_WRONLY) and print "opened"; print "$!\\n";
      sysopen(my $r, $ARGV[0], O_RDONLY); print fcntl($r, 1034, 0) & 15;`;
    box.running(
      bundle,
      () => {
        const { stdout } = spawnSync("perl", ["-e", seals, `/proc/${box.pid(bundle)}/exe`], { encoding: "utf8" });
        expect(stdout).toMatch(/^(Operation not permitted|Text file busy)\n15$/);
      },
      "create",
    );
  });
});

describe("mounts", () => {
  for (const mount of [
    tmpfs("/proc"),
    tmpfs("/proc/self"),
    tmpfs("/proc/self/attr"),
    tmpfs("/proc/../proc/sys"),
    tmpfs("//proc/./sys/net"),
    bind("/proc", "/etc"),
    bind("/proc/self/attr", "/etc"),
    bind("/proc/sys/kernel/core_pattern", "/etc/passwd"),
  ])
    rooted(`a ${mount.type} on ${mount.destination} is refused (CVE-2019-16884)`, () => {
      const ran = box.run(box.bundle(["/bin/true"], (config) => config.mounts!.push(mount)));
      expect(ran).toMatchObject({ code: 1, out: "", err: expect.stringContaining("proc") });
    });

  rooted("a mount on /proc by a link of the image changes nothing that the runtime writes (CVE-2019-16884)", () => {
    const fake = outsideDirectory();
    for (const file of ["net/ipv4/ip_default_ttl", "self/oom_score_adj", "self/attr/exec"]) {
      mkdirSync(join(fake, file, ".."), { recursive: true });
      writeFileSync(join(fake, file), "");
    }
    const before = contentsOf(fake);
    for (const destination of ["/link", "/link/sys", "/data/../link/sys"]) {
      const bundle = box.bundle(["/bin/true"], (config) => {
        config.mounts!.push(bind(destination, fake));
        config.linux!.sysctl = { "net.ipv4.ip_default_ttl": "99" };
        config.process!.oomScoreAdj = 500;
      });
      symlinkSync("proc", join(bundle.rootfs, "link"));
      box.run(bundle);
      expect(contentsOf(fake)).toEqual(before);
    }
  });

  rooted("on absolute and ../ symlinks land inside the root (CVE-2019-18837)", () => {
    const outside = outsideDirectory();
    const before = contentsOf(outside);
    for (const [name, target] of [
      ["absolute", outside],
      ["relative", `../../../../../../../../../../../../..${outside}`],
    ] as const) {
      const bundle = box.bundle("cut -d' ' -f5 /proc/self/mountinfo; cat /data/*/sub/file", (config) => {
        config.mounts!.push(tmpfs(`/data/${name}/sub/new`), bind(`/data/${name}/sub/file`, "/etc/hostname"));
      });
      symlinkSync(target, join(bundle.rootfs, "data", name));
      const { code, out } = box.run(bundle);
      expect(code).toBe(0);
      expect(out).toContain(`\n${outside}/sub/new\n`);
      expect(out).not.toContain(SECRET);
      expect(existsSync(join(bundle.rootfs, outside, "sub/file"))).toBe(true);
    }
    expect(contentsOf(outside)).toEqual(before);
  });

  rooted(
    "of the host's procfs are not left to a container without pivot_root: no user namespace mounts another",
    () => {
      // A mount alone does not tell: one without masks and read-only parts is what must not be had.
      const attack = "unshare -Urmpf /bin/sh -c 'mount -t proc proc /tmp && echo mounted'; cat /proc/self/mountinfo";
      for (const flags of [["--no-pivot"], []]) {
        const bundle = box.bundle(attack, (config) => delete config.linux!.seccomp);
        const { code, out, err } = box.cli(["run", ...flags, "--bundle", bundle.directory, bundle.id]);
        expect([code, out]).toEqual([0, expect.stringContaining(" - proc ")]);
        expect(out).not.toContain("mounted");
        expect(err).toContain("permission denied");
      }
      const bare = box.bundle(attack, (config) => {
        delete config.linux!.seccomp;
        delete config.linux!.maskedPaths;
        delete config.linux!.readonlyPaths;
      });
      expect(box.run(bare).out).toContain("mounted");
    },
  );

  for (const target of ["/proc/self/root", "/proc/1/root", "/proc/self/fd/3", "/proc/self/cwd"])
    rooted(`on a link to ${target} are refused or inside`, () => {
      const outside = outsideDirectory();
      const before = contentsOf(outside);
      const bundle = box.bundle(["/bin/true"], (config) => config.mounts!.push(tmpfs(`/data/link${outside}/made`)));
      symlinkSync(target, join(bundle.rootfs, "data/link"));
      const leaked = openSync("/", "r");
      box.run(bundle, { stdio: ["ignore", "pipe", "pipe", leaked, leaked] });
      closeSync(leaked);
      expect(contentsOf(outside)).toEqual(before);
    });
});

describe("an image", () => {
  for (const name of ["dev", "proc", "sys"])
    for (const kind of ["absolute", "relative", "inside"] as const)
      rooted(`whose /${name} is a symlink (${kind}) is refused, nothing is made (CVE-2023-27561, -2026-41579)`, () => {
        const outside = outsideDirectory();
        const before = contentsOf(outside);
        // Without the mounts at all, too: then the runtime alone makes what is in /dev.
        for (const change of [() => {}, withoutMounts]) {
          const bundle = box.bundle(["/bin/true"], change);
          linkDirectory(
            bundle,
            name,
            { absolute: outside, relative: `../../../../../../../..${outside}`, inside: "tmp" }[kind],
          );
          expect(box.run(bundle)).toMatchObject({
            code: 1,
            err: expect.stringContaining("must be mounted on ordinary directory"),
          });
          expect(readdirSync(join(bundle.rootfs, "tmp"))).toEqual([]);
        }
        expect(contentsOf(outside)).toEqual(before);
      });

  // Later ones have the hole mended. crun does not run on hosts that have cgroup v1 and v2.
  for (const [name, version, runsHere] of [
    ["runc", /^runc version 1\.1\./, true],
    ["crun", /^crun version 1\.21\b/, isRoot && stage.host.mode === "unified"],
  ] as const) {
    const path = runsHere ? oldRuntime(name, version) : undefined;
    testIf(path !== undefined, isRoot ? `no vulnerable ${name} that runs here` : "needs root")(
      `whose /dev is a symlink breaks out of ${name}: the test can fail (CVE-2026-41579)`,
      () => {
        const outside = outsideDirectory();
        const before = contentsOf(outside);
        const bundle = box.bundle(["/bin/true"], (config) => {
          config.mounts = config.mounts!.filter(({ type }) => type === "proc");
          delete config.linux!.resources;
        });
        linkDirectory(bundle, "dev", outside);
        box.runtime(path!, ["run", "--bundle", bundle.directory, bundle.id]);
        box.runtime(path!, ["delete", "--force", bundle.id]);
        expect(contentsOf(outside).length).toBeGreaterThan(before.length);
      },
    );
  }

  const oldRunc = oldRuntime("runc", /^runc version 1\.1\./);
  testIf(oldRunc !== undefined, isRoot ? "no vulnerable runc that runs here" : "needs root")(
    "whose /dev/null is a symlink has it opened by runc instead of a mask: the test can fail (CVE-2025-31133)",
    () => {
      const volume = outsideDirectory();
      symlinkSync("/proc/sys/kernel/core_pattern", join(volume, "null"));
      const bundle = box.bundle(["/bin/cat", "/proc/keys"], (config) => {
        config.mounts = config.mounts!.filter(({ type }) => type === "proc");
        config.mounts.push(bind("/dev", volume));
        delete config.linux!.resources;
      });
      const { out } = box.runtime(oldRunc!, ["run", "--bundle", bundle.directory, bundle.id]);
      box.runtime(oldRunc!, ["delete", "--force", bundle.id]);
      expect(out).toBe(readFileSync("/proc/sys/kernel/core_pattern", "utf8"));
      expect(box.run(bundle)).toEqual({ code: 0, out: "", err: "" });
    },
  );

  rooted("whose /dev/null leads elsewhere gets no mask made of it (CVE-2025-31133)", () => {
    const check = "stat -c %t:%T /proc/keys; cat /proc/sys/kernel/core_pattern";
    const pattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
    for (const plant of [
      (dev: string) => symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "null")),
      (dev: string) => symlinkSync("/proc/sysrq-trigger", join(dev, "null")),
      (dev: string) => writeFileSync(join(dev, "null"), "not a device"),
      (dev: string) => mkdirSync(join(dev, "null")),
    ]) {
      const own = box.bundle(check, withoutDev);
      plant(join(own.rootfs, "dev"));
      const refused = box.run(own);
      expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("/dev/null")]);

      const volume = join(own.directory, "volume");
      mkdirSync(volume);
      plant(volume);
      const shared = box.bundle(check, (config) => {
        withoutDev(config);
        config.mounts!.push(bind("/dev", volume));
      });
      expect(box.run(shared)).toEqual({ code: 0, out: `1:3\n${pattern}`, err: "" });
    }
  });

  rooted("whose /dev/pts, ptmx or console leads elsewhere gets no terminal made of it (CVE-2025-52565)", () => {
    const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
    const plants: [name: string, plant: (dev: string) => void][] = [
      ["console", (dev) => symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "console"))],
      ["pts/ptmx", (dev) => symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "pts/ptmx"))],
      ["pts/0", (dev) => symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "pts/0"))],
      ["pts/ptmx", (dev) => spawnSync("mknod", [join(dev, "pts/ptmx"), "c", "5", "2"])],
      ["pts/ptmx", (dev) => spawnSync("mknod", [join(dev, "pts/ptmx"), "c", "1", "3"])],
    ];
    for (const [, plant] of plants)
      for (const how of ["image", "volume"]) {
        const bundle = box.bundle("stat -c %t:%T /dev/console; readlink /proc/self/fd/0", (config, { directory }) => {
          withoutDev(config);
          config.process!.terminal = true;
          if (how === "volume") config.mounts!.push(bind("/dev", join(directory, "dev")));
        });
        const dev = join(bundle.directory, how === "image" ? "rootfs/dev" : "dev");
        mkdirSync(join(dev, "pts"), { recursive: true });
        plant(dev);
        const { code, out } = box.run(bundle);
        expect(code === 1 || /^88:\w+\n\/dev\/pts\/\d+\n$/.test(out)).toBe(true);
      }
    expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
  });

  rooted(
    "whose /etc/passwd is a link or a FIFO is read inside its root, and keeps nobody waiting (CVE-2024-9676)",
    () => {
      const outside = outsideDirectory();
      const passwd = "evil:x:1000:1000::/home/of-the-host:/bin/sh\n";
      writeFileSync(join(outside, "passwd"), passwd);
      for (const plant of [
        (etc: string) => symlinkSync(join(outside, "passwd"), join(etc, "passwd")),
        (etc: string) => symlinkSync(`../../../../../../../../../../..${outside}/passwd`, join(etc, "passwd")),
        (etc: string) => spawnSync("mkfifo", [join(etc, "passwd")]),
        (etc: string) => symlinkSync("/dev/zero", join(etc, "passwd")),
        (etc: string) => spawnSync("mknod", [join(etc, "passwd"), "c", "1", "5"]),
      ]) {
        const bundle = box.bundle("echo $HOME", (config) => (config.process!.user = { uid: 1000, gid: 1000 }));
        plant(join(bundle.rootfs, "etc"));
        const ran = box.run(bundle);
        expect([ran.code, /of-the-host/.test(ran.out + ran.err)]).toEqual([0, false]);
      }
      const honest = box.bundle("echo $HOME", (config) => (config.process!.user = { uid: 1000, gid: 1000 }));
      writeFileSync(join(honest.rootfs, "etc/passwd"), passwd);
      expect(box.run(honest).out).toBe("/home/of-the-host\n");
    },
  );
});

function linkDirectory({ rootfs }: Bundle, name: string, target: string): void {
  rmSync(join(rootfs, name), { recursive: true });
  symlinkSync(target, join(rootfs, name));
}

describe("a volume whose directory is exchanged for a link all the time", () => {
  /** vol/a is a directory, vol/b a link out of the root; or the other way round. */
  function sharedVolume(target: string): { volume: string; a: string; b: string } {
    const volume = join(box.directory, `volume-${outsides++}`);
    const [a, b] = [join(volume, "a"), join(volume, "b")];
    mkdirSync(a, { recursive: true });
    symlinkSync(target, b);
    return { volume, a, b };
  }
  const attempt = (volume: string, bundle: Bundle) => () => {
    const config = box.config(bundle, "cat /data/a/secret /data/a/y/secret; cut -d' ' -f5 /proc/self/mountinfo");
    config.mounts!.push(bind("/data", volume), tmpfs("/data/a/x/y"), bind("/data/a/file", "/etc/hostname"));
    config.mounts!.push(bind("/data/a/sub", "/bin", "ro"));
    config.linux!.readonlyPaths!.push("/data/a/sub");
    config.linux!.maskedPaths!.push("/data/a/secret", "/data/a/x");
    config.process!.cwd = "/data/a/made";
    return config;
  };

  rooted("catches a naive runtime: the race can be lost", async () => {
    const outside = outsideDirectory();
    const { a, b } = sharedVolume(outside);
    const before = contentsOf(outside);
    await box.attacked(["swap", a, b], async () => {
      const end = performance.now() + 30_000;
      while (contentsOf(outside).length === before.length && performance.now() < end)
        try {
          mkdirSync(join(a, "x/y"), { recursive: true }); // as os.MkdirAll did
          rmSync(join(a, "x"), { recursive: true, force: true });
        } catch {
          // it was exchanged in between
        }
    });
    expect(contentsOf(outside)).not.toEqual(before);
  });

  for (const [kind, targetOf] of [
    ["absolute", (outside: string) => outside],
    ["relative", (outside: string) => `../../../../../../../../../../../..${outside}`],
    ["the root", () => "/"],
  ] as const)
    rooted(`gets nothing outside made, mounted or read (${kind}) (CVE-2021-30465, CVE-2024-45310)`, async () => {
      const outside = outsideDirectory();
      const { volume, a, b } = sharedVolume(targetOf(outside));
      const bundle = box.bundle(["/bin/true"]);
      const make = attempt(volume, bundle);
      const before = contentsOf(outside);
      const host = readdirSync("/");
      const outputs = await box.attacked(["swap", a, b], async () => {
        const all = await startAll(make);
        for (let i = 0; i < 4; i++) {
          writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(make()));
          all.push(box.run(bundle).out);
        }
        return all;
      });
      expect(outputs.filter((output) => output.includes(SECRET))).toEqual([]);
      expect(outputs.filter((output) => output !== "").length).toBeGreaterThan(0);
      expect(contentsOf(outside)).toEqual(before);
      expect(readdirSync("/")).toEqual(host);
      expect(hostMounts()).toBe(mountsBefore);
    });

  rooted("and is the container's /dev gets no masked path that is not the null device (CVE-2025-31133)", async () => {
    const { volume, a, b } = sharedVolume("/proc/sys/kernel/core_pattern");
    rmSync(a, { recursive: true });
    spawnSync("mknod", [a, "c", "1", "3"]);
    const dev = join(volume, "dev");
    mkdirSync(join(dev, "pts"), { recursive: true });
    spawnSync("mknod", [join(dev, "null"), "c", "1", "3"]);
    symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "other"));
    const bundle = box.bundle(["/bin/true"]);
    const make = () => {
      const config = box.config(bundle, "stat -c %t:%T /proc/keys");
      withoutDev(config);
      config.mounts!.push(bind("/dev", dev));
      return config;
    };
    const outputs = await box.attacked(["swap", join(dev, "null"), join(dev, "other")], () => startAll(make));
    expect([...new Set(outputs)].filter((output) => output !== "" && output !== "1:3\n.")).toEqual([]);
    expect(outputs).toContain("1:3\n.");
    rmSync(b);
  });

  rooted("and is the container's /dev gets no console that is not its terminal (CVE-2025-52565)", async () => {
    const { volume } = sharedVolume("/");
    const dev = join(volume, "dev");
    mkdirSync(join(dev, "pts"), { recursive: true });
    spawnSync("mknod", [join(dev, "null"), "c", "1", "3"]);
    writeFileSync(join(dev, "console"), "");
    symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "other"));
    const bundle = box.bundle(["/bin/true"]);
    const make = () => {
      const config = box.config(bundle, "stat -c %t /dev/console; grep -c core_pattern /proc/self/mountinfo");
      config.process!.terminal = true;
      config.mounts = config.mounts!.filter(({ destination }) => destination !== "/dev");
      config.mounts.splice(1, 0, bind("/dev", dev));
      return config;
    };
    const outputs = await box.attacked(["swap", join(dev, "console"), join(dev, "other")], () => startAll(make));
    // 136 is 88 in hexadecimal; where /dev/console has been exchanged since, it is the link that is looked at.
    const good = /^(88|0)\r\n0\r\n\.$/;
    expect([...new Set(outputs)].filter((output) => output !== "" && !good.test(output))).toEqual([]);
    expect(outputs).toContain("88\r\n0\r\n.");
  });
});

describe("writes to /proc", () => {
  rooted("of sysctls reach the kernel where something else is mounted on /proc/sys (CVE-2025-52881)", () => {
    const bundle = box.bundle(["/bin/cat", "/proc/sys/net/ipv4/ip_default_ttl"], (config) => {
      config.linux!.sysctl = { "net.ipv4.ip_default_ttl": "99" };
    });
    const hide = `mount -t tmpfs none /proc/sys && mkdir -p /proc/sys/net/ipv4 /proc/sys/kernel &&
      echo 7 > /proc/sys/net/ipv4/ip_default_ttl && "$@" && cat /proc/sys/net/ipv4/ip_default_ttl`;
    const run = [box.program, "--root", box.root, "run", "--bundle", bundle.directory, bundle.id];
    expect(spawnSync("unshare", ["-m", "sh", "-c", hide, "sh", ...run], { encoding: "utf8" })).toMatchObject({
      stderr: "",
      stdout: "99\n7\n",
    });
  });

  rooted(
    "of ids and scores reach the process over which a racer mounts something (CVE-2025-52881)",
    () => {
      const fake = outsideDirectory();
      const files = ["uid_map", "gid_map", "oom_score_adj", "setgroups", "attr/exec", "attr/apparmor/exec"];
      mkdirSync(join(fake, "attr/apparmor"), { recursive: true });
      for (const file of files) writeFileSync(join(fake, file), "");
      const change = (config: OciConfig) => {
        const mappings = [{ containerID: 0, hostID: 100_000, size: 65536 }];
        config.linux = { ...config.linux!, uidMappings: mappings, gidMappings: mappings };
        config.linux.namespaces!.push({ type: "user" });
        config.process!.oomScoreAdj = 500;
        config.process!.apparmorProfile = "unconfined"; // is written where there is AppArmor
        // In a user namespace the kernel mounts no procfs where the visible one is covered in places, as it soon will be.
        config.mounts = config.mounts!.filter(({ type }) => type !== "proc");
      };
      const bundles = Array.from({ length: 20 }, () => box.bundle(["/bin/true"], change));
      const ids = bundles.map(({ id }) => id).join("\n");
      // What the attacker mounts is in its own mount namespace, where the runtime is too, and ends with it.
      const race = `"$1" cover "$2" >> "$2/covered" & attacker=$!
      xargs -P 2 -I ID "$3" --root "$4" create --bundle "$5/ID" --pid-file "$5/ID/pid" ID >/dev/null 2>&1
      kill $attacker`;
      // The racer is after what we write for the container. A process that was another program first has been found by it before
      // Bun has begun, which ends at once where its own /proc/self is gone.
      const program = join(fake, "lighter-runtime");
      symlinkSync(resolve("dist/lighter"), program);
      const racing = ["-m", "sh", "-c", race, "sh", box.attacker, fake, program, box.root];
      const found: string[][] = [];
      while (found.length < RACE_STARTS) {
        spawnSync("unshare", [...racing, box.directory], { input: ids });
        for (const { directory } of bundles) {
          const path = join(directory, "pid");
          const pid = readFileSync(path, "utf8");
          found.push(["uid_map", "gid_map", "oom_score_adj"].map((name) => words(`/proc/${pid}/${name}`)));
          rmSync(path);
        }
        const removing = ["-P", "2", "-I", "ID", box.program, "--root", box.root, "delete", "--force", "ID"];
        expect(spawnSync("xargs", removing, { input: ids, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
      }
      expect(readFileSync(join(fake, "covered"), "utf8")).toContain("covered"); // some of the processes, in time or late
      for (const file of files) expect([file, readFileSync(join(fake, file), "utf8")]).toEqual([file, ""]);
      expect([...new Set(found.map(String))]).toEqual(["0 100000 65536,0 100000 65536,500"]);
    },
    120_000,
  );

  for (const [key, value] of [
    ["net.ipv4.ip_default_ttl", "64\nkernel.core_pattern=|/evil"],
    ["net.ipv4.ip_default_ttl", "64+kernel.core_pattern"],
    ["kernel.core_pattern", "|/evil"],
    ["kernel/core_pattern", "|/evil"],
    ["net.ipv4.ip_default_ttl+kernel.core_pattern", "64"],
    ["net/../kernel/core_pattern", "|/evil"],
    ["net.ipv4/../../kernel/core_pattern", "|/evil"],
    ["kernel.msgmax\nkernel.core_pattern", "|/evil"],
    ["fs.mqueue", "1"],
  ] as const)
    rooted(`sysctl ${JSON.stringify(`${key}=${value}`)} is refused (CVE-2022-0811)`, () => {
      const pattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
      const ran = box.run(box.bundle(["/bin/true"], (config) => (config.linux!.sysctl = { [key]: value })));
      expect([ran.code, ran.err]).toEqual([1, expect.stringContaining("sysctl")]);
      expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(pattern);
    });

  rooted("of huge id maps are refused or complete, and huge paths are refused (CVE-2021-43784)", () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ containerID: i, hostID: 100_000 + 2 * i, size: 1 }));
    const user = (mappings: typeof many) => (config: OciConfig) => {
      config.linux!.namespaces!.push({ type: "user" });
      config.linux!.uidMappings = mappings;
      config.linux!.gidMappings = mappings;
      config.root!.readonly = true;
    };
    for (const size of [341, 3000]) {
      const ran = box.run(box.bundle(["/bin/cat", "/proc/self/uid_map"], user(many.slice(0, size))));
      if (ran.code === 0) expect(ran.out.trim().split("\n").length).toBe(size);
      else expect(ran.err).toContain("uid");
    }
    // The kernel's uid_map takes less than a page: of that many nothing is written rather than some.
    expect(box.run(box.bundle(["/bin/true"], user(many))).code).toBe(1);
    for (const length of [4096, 65535, 65536 + 4096, 1 << 20]) {
      const path = `/${"a".repeat(length)}`;
      const namespaced = box.bundle(["/bin/true"], (config) => {
        config.linux!.namespaces!.find(({ type }) => type === "network")!.path = path;
      });
      const ran = box.run(namespaced);
      expect([length, ran.code, ran.err.length > 0]).toEqual([length, 1, true]);
    }
  });
});

describe("file descriptors", () => {
  /** Our caller's, from 3 on: all of them the host's directory. */
  function leaking(outside: string, use: (options: { stdio: (string | number)[] }) => void): void {
    const fds = Array.from({ length: 28 }, () => openSync(outside, "r"));
    try {
      use({ stdio: ["ignore", "pipe", "pipe", ...fds] });
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  }

  rooted("above 2 are closed in run, exec, and create with start", () => {
    leaking(outsideDirectory(), (options) => {
      const bundle = box.bundle(["/bin/attacker", "fds"]);
      expect(box.run(bundle, options as object)).toEqual({ code: 0, out: "0 1 2 \n", err: "" });
      const sleeping = box.bundle(["/bin/sleep", "1000"]);
      box.running(sleeping, () => {
        for (const more of [[], ["--user", "1000:5"], ["--cap", "CAP_SYS_ADMIN"]])
          expect(box.cli(["exec", ...more, sleeping.id, "/bin/attacker", "fds"], options as object)).toEqual({
            code: 0,
            out: "0 1 2 \n",
            err: "",
          });
      });
      const created = box.bundle(["/bin/attacker", "fds"]);
      const log = join(created.directory, "out");
      const out = openSync(log, "w");
      const stdio = ["ignore", out, out, ...options.stdio.slice(3)] as number[];
      box.cli(["create", "--bundle", created.directory, created.id], { stdio });
      closeSync(out);
      const pid = box.pid(created);
      expect(box.cli(["start", created.id], options as object)).toEqual({ code: 0, out: "", err: "" });
      while (existsSync(`/proc/${pid}/exe`) && /lighter|attacker/.test(readFileSync(`/proc/${pid}/comm`, "utf8")))
        if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) break;
      expect(readFileSync(log, "utf8")).toBe("0 1 2 \n");
      box.cli(["delete", "--force", created.id]);
    });
  });

  rooted("of an init that waits show a neighbour in its pid namespace nothing of the host", () => {
    const outside = outsideDirectory();
    leaking(outside, ({ stdio }) => {
      const waiting = box.bundle(["/bin/true"]);
      box.cli(["create", "--bundle", waiting.directory, waiting.id], {
        stdio: ["ignore", "ignore", "ignore", ...stdio.slice(3)] as number[],
      });
      const pid = box.pid(waiting);
      for (const more of [[], ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]]) {
        const looking = `for d in /proc/1/root /proc/1/cwd /proc/1/fd/*; do cat $d${outside}/secret $d/secret; ls -d $d/; done 2>/dev/null
          for f in /proc/1/fd/*; do readlink $f; done; echo evil 2>/dev/null >/proc/1/exe || echo refused`;
        const neighbour = box.bundle(looking, (config) => {
          config.linux!.namespaces!.find(({ type }) => type === "pid")!.path = `/proc/${pid}/ns/pid`;
          for (const set of ["bounding", "effective", "permitted"] as const)
            config.process!.capabilities![set]!.push(...more);
        });
        const { out } = box.run(neighbour);
        const allowed = /^(\/proc\/1\/(root|cwd)\/|\/dev\/null|socket:\[\d+\]|pipe:\[\d+\]|refused|.*\/exec\.fifo)$/;
        expect(
          out
            .trim()
            .split("\n")
            .filter((line) => !allowed.test(line)),
        ).toEqual([]);
        expect(out).toContain("refused");
      }
      box.cli(["delete", "--force", waiting.id]);
    });
  });

  rooted("give no way out as a working directory, in run and exec (CVE-2024-21626)", () => {
    const outside = outsideDirectory();
    const look = ["/bin/sh", "-c", "pwd; cat secret ../secret; ls -d /proc/self/cwd/sub"];
    const inside = (ran: Ran, cwd: string) => {
      const found = `${ran.out}${ran.code === 0 ? ran.err : ""}`;
      expect([cwd, /unreachable|host's|\/sub\b/.test(found)]).toEqual([cwd, false]);
      expect([cwd, ran.code]).not.toEqual([cwd, 0]);
    };
    leaking(outside, (options) => {
      const bundle = box.bundle(["/bin/true"]);
      const sleeping = box.bundle(["/bin/sleep", "1000"]);
      box.running(sleeping, () => {
        for (let fd = 3; fd <= 30; fd += strideOf({ emulated: 9 })) {
          const cwd = `/proc/self/fd/${fd}`;
          inside(box.cli(["exec", "--cwd", cwd, sleeping.id, ...look], options as object), cwd);
          box.configure(bundle, look, (config) => (config.process!.cwd = cwd));
          inside(box.run(bundle, options as object), cwd);
        }
        for (const cwd of ["/proc/self/fd/7/..", "/proc/1/fd/5", "/proc/self/fd/5/sub", "/proc/self/task/1/fd/8"])
          inside(box.cli(["exec", "--cwd", cwd, sleeping.id, ...look], options as object), cwd);
      });
      // Through a link of the image's, which no check of the text sees.
      const linked = box.bundle(look, (config) => (config.process!.cwd = "/data/link"));
      for (const fd of [3, 4, 7, 8, 9, 12]) {
        rmSync(join(linked.rootfs, "data/link"), { force: true });
        symlinkSync(`/proc/self/fd/${fd}`, join(linked.rootfs, "data/link"));
        inside(box.run(linked, options as object), `link to ${fd}`);
      }
    });
  });
});

describe("identity", () => {
  const NONE = "0000000000000000";
  const SHOW = ["/bin/grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"];
  const EMPTY = { code: 0, out: `CapInh:\t${NONE}\nCapAmb:\t${NONE}\n`, err: "" };

  rooted("has neither inheritable nor ambient capabilities by default (CVE-2022-29162, CVE-2022-24769)", () => {
    for (const uid of [0, 1000])
      expect(box.run(box.bundle(SHOW, (config) => (config.process!.user = { uid, gid: uid })))).toEqual(EMPTY);
    const own = box.bundle(SHOW);
    box.cli(["spec", "--bundle", own.directory], {});
    const bundle = box.bundle(["/bin/sleep", "1000"]);
    const file = join(bundle.directory, "process.json");
    writeFileSync(file, JSON.stringify({ ...box.config(bundle, SHOW).process, user: { uid: 1000, gid: 1000 } }));
    box.running(bundle, () => {
      for (const more of [
        [],
        ["--cap", "CAP_NET_ADMIN"],
        ["--user", "1000"],
        ["--user", "1000:5", "--cap", "cap_sys_admin"],
      ])
        expect(box.cli(["exec", ...more, bundle.id, ...SHOW])).toEqual(EMPTY);
      expect(box.cli(["exec", "--process", file, bundle.id])).toEqual(EMPTY);
    });
  });

  rooted("has neither by the config that `spec` prints", () => {
    const bundle = box.bundle(SHOW);
    rmSync(join(bundle.directory, "config.json"));
    expect(box.cli(["spec"], { cwd: bundle.directory }).code).toBe(0);
    const config = JSON.parse(readFileSync(join(bundle.directory, "config.json"), "utf8")) as OciConfig;
    config.process!.args = SHOW;
    config.process!.terminal = false;
    config.linux!.cgroupsPath = `/${stage.parent}/${bundle.id}`;
    writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(config));
    expect(box.run(bundle)).toEqual(EMPTY);
  });

  rooted("is by `exec --user` exactly the ids asked for, or there is an error (CVE-2026-30892)", () => {
    const bundle = box.bundle(["/bin/sleep", "1000"]);
    const show = ["/bin/sh", "-c", "echo $(id -u):$(id -g)"];
    const wrong = `1000: :5 : 0x 0x10 1e3 -1 --1 +5 5:6:7 root nobody root:0 1000:root 4294967295 4294967296
      4294968296 18446744073709551616 0:4294967295 0:4294967296 1000:-1 ١ 1000.0 1_000 0b1 0:0x5 1000,5`;
    box.running(bundle, () => {
      for (const user of [...wrong.split(/\s+/), "", " ", " 0", "0 ", "1000\n", "1000:5\n", "\t5"]) {
        const { code, out } = box.cli(["exec", `--user=${user}`, bundle.id, ...show]);
        expect([user, code === 0, out]).toEqual([user, false, ""]);
      }
      for (const [user, ids] of [
        ["0", "0:0"],
        ["1000", "1000:0"],
        ["1000:5", "1000:5"],
        ["007:08", "7:8"],
        ["2147483648:2147483647", "2147483648:2147483647"],
        ["4294967294:4294967294", "4294967294:4294967294"],
      ])
        expect(box.cli(["exec", "--user", user!, bundle.id, ...show])).toEqual({ code: 0, out: `${ids}\n`, err: "" });
    });
  });

  rooted("of a config that overflows is refused, not taken for root", () => {
    for (const user of [
      { uid: 2 ** 32, gid: 0 },
      { uid: 0, gid: 2 ** 32 },
      { uid: -1, gid: 0 },
      { uid: 2 ** 32 - 1, gid: 0 },
    ])
      expect(box.run(box.bundle(["/bin/id"], (config) => (config.process!.user = user)))).toMatchObject({
        code: 1,
        out: "",
      });
  });
});

describe("cgroups", () => {
  const CGROUP: OciMount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" };
  const probe = `for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
      [ -e $d/cgroup.procs ] || continue # the tmpfs that v1 hierarchies are mounted in
      mkdir $d/lighter-evil 2>/dev/null && echo made $d
      for f in release_agent cgroup.procs notify_on_release cgroup.subtree_control; do
        [ -e $d/$f ] && echo $$ 2>/dev/null > $d/$f && echo wrote $d/$f; done
    done; mkdir /data/cg; mount -t cgroup -o rdma cgroup /data/cg && echo mounted
    mount -t cgroup2 cgroup /data/cg && echo mounted; echo done`;
  const rw = (config: OciConfig, namespace: boolean, ...options: string[]) => {
    config.mounts!.push({ ...CGROUP, options: ["nosuid", "noexec", "nodev", "relatime", ...options] });
    if (!namespace) config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "cgroup");
  };

  for (const namespace of [true, false])
    rooted(
      `are read-only ${namespace ? "in" : "without"} a namespace of their own, and mount is refused (CVE-2022-0492)`,
      () => {
        const ran = box.run(box.bundle(probe, (config) => rw(config, namespace, "ro")));
        expect([ran.code, ran.out]).toEqual([0, "done\n"]);
      },
    );

  rooted("cannot be mounted by way of another user namespace to set a release_agent (CVE-2022-0492)", () => {
    const inner = `for o in memory rdma cpu none,name=evil; do
        mount -t cgroup -o $o cgroup /tmp && echo evil > /tmp/release_agent && echo set; done`;
    const ran = box.run(box.bundle(["/bin/unshare", "-Urm", "/bin/sh", "-c", `${inner}; echo tried`]));
    expect(ran.out).not.toContain("set");
  });

  rooted("that root of a user namespace owns stay closed to it below a read-only /sys (CVE-2023-25809)", () => {
    // As systemd delegates cgroups to a user: who is root in a namespace of that user's owns cgroups of the host.
    const mountPoint = stage.host.v2?.mountPoint ?? stage.host.v1[0]!.mountPoint;
    const victim = join(mountPoint, stage.parent, "victim");
    mkdirSync(victim, { recursive: true });
    chownSync(victim, 100_000, 100_000);
    chmodSync(victim, 0o777);
    try {
      const made = ["ro", "ro, cgroups rw", "rw"].map((how) => {
        const bundle = box.bundle(["/bin/mkdir", join(victim, "evil")], (config) => {
          const mappings = [{ containerID: 0, hostID: 100_000, size: 65536 }];
          config.linux = { ...config.linux!, uidMappings: mappings, gidMappings: mappings };
          config.linux.namespaces = config.linux.namespaces!.filter(
            ({ type }) => !["cgroup", "network"].includes(type),
          );
          config.linux.namespaces.push({ type: "user" });
          const sys = bind("/sys", "/sys", how === "rw" ? "rw" : "ro");
          config.mounts = config.mounts!.map((mount) => (mount.type === "sysfs" ? sys : mount));
          if (how.includes("cgroups")) rw(config, false, "rw");
        });
        return [how, box.run(bundle).err.replace(/.*: /, "").trim(), existsSync(join(victim, "evil"))];
      });
      // With v1, what is mounted are the container's own cgroups alone.
      const noCgroup = stage.host.mode === "unified" ? "Read-only file system" : "No such file or directory";
      // The last is what the first would be, were only /sys itself read-only.
      expect(made).toEqual([
        ["ro", "Read-only file system", false],
        ["ro, cgroups rw", noCgroup, false],
        ["rw", "", true],
      ]);
    } finally {
      rmdirSync(join(victim, "evil"));
      rmdirSync(victim);
    }
  });

  rooted("outside a container's own stay closed to root of a user namespace, even mounted rw (CVE-2023-25809)", () => {
    const bundle = box.bundle(probe, (config) => {
      rw(config, false, "rw");
      const mappings = [{ containerID: 0, hostID: 100_000, size: 65536 }];
      config.linux = { ...config.linux!, uidMappings: mappings, gidMappings: mappings };
      config.linux.namespaces!.push({ type: "user" });
    });
    const { code, out } = box.run(bundle);
    expect([code, out]).toEqual([0, "done\n"]);
  });

  rooted("of the rootless example config are read-only", () => {
    const bundle = box.bundle(["/bin/true"]);
    rmSync(join(bundle.directory, "config.json"));
    expect(box.cli(["spec", "--rootless"], { cwd: bundle.directory }).code).toBe(0);
    const { mounts = [] } = JSON.parse(readFileSync(join(bundle.directory, "config.json"), "utf8")) as OciConfig;
    const below = mounts.filter(({ destination }) => /^\/sys(\/|$)/.test(destination));
    expect(below.filter(({ options = [] }) => !options.includes("ro"))).toEqual([]);
  });
});

describe("the command line", () => {
  /** A directory full of what Bun or Node would run or obey. Each writes `proof` if it is run. */
  function poisoned(directory: string, proof: string): void {
    const evil = `require("node:fs").appendFileSync(${JSON.stringify(proof)}, __filename + "\\n");`;
    const write = (name: string, text: string) => {
      mkdirSync(join(directory, name, ".."), { recursive: true });
      writeFileSync(join(directory, name), text);
    };
    for (const name of "preload.js evil.js index.js index.ts main.js main.ts oci/main.ts src/main.ts".split(" "))
      write(name, evil);
    for (const name of ["fs", "node:fs", "path", "bun", "bun:ffi", "bun-ffi", "commands", "oci", "@lighter/evil"])
      write(`node_modules/${name}/index.js`, evil);
    write(
      "bunfig.toml",
      'preload = ["./preload.js"]\n[run]\npreload = ["./preload.js"]\n[test]\npreload = ["./preload.js"]\n',
    );
    write(".bunfig.toml", `preload = ["${directory}/preload.js"]\n`);
    write(".bun/bunfig.toml", `preload = ["${directory}/preload.js"]\n`);
    for (const name of [".env", ".env.local", ".env.production", ".env.development"])
      write(
        name,
        "BUN_OPTIONS=--preload=./preload.js\nBUN_BE_BUN=1\nNODE_OPTIONS=--require=./evil.js\nXDG_RUNTIME_DIR=/nowhere\n",
      );
    const scripts = Object.fromEntries(
      "run state list preload start prestart runtime".split(" ").map((name) => [name, `touch ${proof}`]),
    );
    write(
      "package.json",
      JSON.stringify({ name: "evil", main: "evil.js", type: "commonjs", scripts, imports: { "#*": "./evil.js" } }),
    );
    const paths = { "*": ["./evil.js"], "node:fs": ["./evil.js"] };
    write("tsconfig.json", JSON.stringify({ compilerOptions: { baseUrl: ".", paths, jsxImportSource: "./evil" } }));
    write("jsconfig.json", JSON.stringify({ compilerOptions: { baseUrl: ".", paths } }));
  }

  rooted("runs nothing from the current directory, the bundle or the home directory", () => {
    const bundle = box.bundle(["/bin/echo", "fine"]);
    const proof = join(bundle.directory, "proof");
    const home = join(bundle.directory, "home");
    poisoned(bundle.directory, proof);
    poisoned(home, proof);
    const env = { PATH: process.env.PATH!, HOME: home, XDG_CONFIG_HOME: home, BUN_INSTALL: home };
    const options = { cwd: bundle.directory, env };
    expect(box.cli(["run", bundle.id], options)).toEqual({ code: 0, out: "fine\n", err: "" });
    for (const args of [["--version"], ["features"], ["list"], ["help"]])
      expect(box.cli(args, options)).toMatchObject({ code: 0, err: "" });
    expect(existsSync(proof)).toBe(false);
    // That directory is poisonous indeed: to Bun itself.
    spawnSync(process.execPath, ["-e", "0"], options);
    expect(existsSync(proof)).toBe(true);
  });

  rooted("runs, connects to and writes nothing that the environment names, nor passes it to hooks", async () => {
    const bundle = box.bundle(["/bin/sh", "-c", "echo $BUN_OPTIONS; env | grep -c EVIL"]);
    const proof = join(bundle.directory, "proof");
    poisoned(bundle.directory, proof);
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const evil = join(bundle.directory, "evil.js");
    const written = join(bundle.directory, "written");
    const inner = ["PATH=/bin", `BUN_OPTIONS=--preload=${evil}`, "BUN_BE_BUN=1", `NODE_OPTIONS=--require=${evil}`];
    const seen = join(bundle.directory, "seen");
    const hook = (text: string) => ({ path: "/bin/sh", args: ["sh", "-c", text], env: inner });
    box.configure(bundle, ["/bin/sh", "-c", "echo $BUN_OPTIONS; env | grep -c BUN_"], (config) => {
      config.process!.env = inner;
      config.hooks = { createRuntime: [hook(`env >> ${seen}`)], poststop: [hook(`env >> ${seen}`)] };
    });
    const variables: Record<string, string>[] = [
      { BUN_OPTIONS: `--preload=${evil}` },
      { BUN_OPTIONS: `--config=${bundle.directory}/bunfig.toml` },
      { BUN_OPTIONS: "--inspect-wait" },
      { BUN_BE_BUN: "1" },
      { NODE_OPTIONS: `--require ${evil}`, NODE_PATH: join(bundle.directory, "node_modules") },
      { BUN_INSPECT: `127.0.0.1:${port + 1}/x?wait=1` },
      { BUN_INSPECT: "1", BUN_INSPECT_PRELOAD: evil },
      { BUN_INSPECT_CONNECT_TO: `tcp://127.0.0.1:${port}` },
      { BUN_INSPECT_NOTIFY: `tcp://127.0.0.1:${port}` },
      { BUN_CONFIG_REGISTRY: `http://127.0.0.1:${port}`, BUN_CONFIG_TOKEN: "x", BUN_CONFIG_PRELOAD: evil },
      { BUN_JSC_functionOverrides: evil, JSC_functionOverrides: evil },
      { BUN_JSC_useNonsense: "1", BUN_JSC_dumpOptions: "2", BUN_JSC_configFile: evil },
      { BUN_JSC_useJITDump: "1", BUN_JSC_jitDumpDirectory: bundle.directory, BUN_JSC_dumpJITMemoryPath: written },
      { BUN_BYTECODE_DIGEST_OUT: written, BUN_BYTECODE_ORDER_OUT: written, BUN_BYTECODE_ORDER_NAMES_OUT: written },
      { NODE_COMPILE_CACHE: written, BUN_RUNTIME_TRANSPILER_CACHE_PATH: written, NODE_REDIRECT_WARNINGS: written },
      { NODE_CHANNEL_FD: "3", NODE_UNIQUE_ID: "1", BUN_TCC_OPTIONS: "-bogus", NODE_V8_COVERAGE: written },
      { BUN_CRASH_REPORT_URL: `http://127.0.0.1:${port}`, BUN_INSTALL: bundle.directory, BUN_TMPDIR: bundle.directory },
    ];
    const files = () => readdirSync(bundle.directory).filter((name) => name !== "seen");
    const before = files();
    for (const variable of variables) {
      const env = { PATH: process.env.PATH!, ...variable };
      const ran = box.cli(["run", bundle.id], { cwd: bundle.directory, env, timeout: 10_000 });
      expect([variable, ran]).toEqual([variable, { code: 0, out: `--preload=${evil}\n2\n`, err: "" }]);
      expect([variable, files()]).toEqual([variable, before]);
    }
    // What hooks see is what their config says, whatever the runtime's own environment is.
    const seenNames = new Set(
      readFileSync(seen, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split("=")[0]!),
    );
    const usual = ["PWD", "SHLVL", "_", "OLDPWD"];
    expect([...seenNames].filter((name) => !usual.includes(name)).sort()).toEqual([
      "BUN_BE_BUN",
      "BUN_OPTIONS",
      "NODE_OPTIONS",
      "PATH",
    ]);
    await new Promise((resolve) => server.close(resolve));
    expect(connections).toBe(0);
    expect(existsSync(proof)).toBe(false);
  });

  rooted("of an exec takes neither from the container's environment nor from its root", () => {
    const bundle = box.bundle(["/bin/sleep", "1000"], (config) => {
      config.process!.env = ["PATH=/bin", "BUN_OPTIONS=--preload=/evil.js", "BUN_BE_BUN=1", "LD_PRELOAD=/evil.so"];
    });
    const proof = join(bundle.directory, "proof");
    poisoned(bundle.rootfs, proof);
    box.running(bundle, () => {
      expect(box.cli(["exec", bundle.id, "/bin/sh", "-c", "echo $BUN_OPTIONS"], { cwd: bundle.rootfs })).toEqual({
        code: 0,
        out: "--preload=/evil.js\n",
        err: "",
      });
    });
    expect(existsSync(proof)).toBe(false);
  });

  rooted("makes state that no other user can write, or read", () => {
    const bundle = box.bundle(["/bin/sleep", "1000"]);
    box.running(bundle, () => {
      expect(lstatSync(box.root).mode & 0o066).toBe(0);
      const directory = join(box.root, bundle.id);
      expect(lstatSync(directory).mode & 0o777).toBe(0o700);
      expect(parentOf(box.pid(bundle))).not.toBe(0);
      for (const name of readdirSync(directory))
        expect([name, lstatSync(join(directory, name)).mode & 0o022]).toEqual([name, 0]);
    });
    for (const id of ["../evil", "..", ".", "a/b", "", "/etc", "a\0b", "x".repeat(1025)])
      if (!id.includes("\0")) expect(box.cli(["run", "--bundle", bundle.directory, id]).code).not.toBe(0);
    chmodSync(box.root, 0o711);
  });
});
