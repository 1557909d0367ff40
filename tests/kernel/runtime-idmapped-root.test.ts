import { describe, expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { StartRequest } from "../../src/runtime/mod.ts";
import { placeInCgroup } from "../support/place-in-cgroup.ts";
import { finish, isRoot, makeRootfs, rooted, rootedWith, Stage } from "../support/stage.ts";

/* Layers that containers in user namespaces of their own share with each other, and with those that have none. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);

interface Layers {
  layer: string;
  upper: string;
  directories: string[];
  rootfs: StartRequest["rootfs"];
}

let count = 0;

/** A root of a layer of its own, and an upper directory, both root's on the host. */
function makeLayers(): Layers {
  const directory = join(stage.directory, `layers${count++}`);
  const own = join(directory, "own");
  const [layer, upper, work] = [join(directory, "image/one"), join(own, "upper"), join(own, "work")];
  makeRootfs(layer);
  for (const path of [own, upper, work]) mkdirSync(path);
  chmodSync(own, 0o700);
  writeFileSync(join(layer, "etc/of-root"), "root's\n");
  writeFileSync(join(layer, "etc/of-five"), "five's\n");
  chownSync(join(layer, "etc/of-five"), 5, 6);
  const options = [`lowerdir=${layer}`, `upperdir=${upper}`, `workdir=${work}`];
  return {
    layer,
    upper,
    directories: [join(directory, "image"), own],
    rootfs: [{ destination: "/", type: "overlay", source: "overlay", options }],
  };
}

function request(
  script: string,
  layers: Layers,
  first: number | undefined,
  change = (_: StartRequest) => {},
): StartRequest {
  const asked = stage.request(["/bin/sh", "-c", script]);
  const { config } = asked;
  if (first !== undefined) {
    const mappings = [{ containerID: 0, hostID: first, size: 65536 }];
    config.linux!.namespaces!.push({ type: "user" });
    config.linux!.uidMappings = mappings;
    config.linux!.gidMappings = mappings;
  }
  const whole = { ...asked, rootfs: layers.rootfs, ...(first ? { idmappedDirectories: layers.directories } : {}) };
  change(whole);
  return whole;
}

async function run(...args: Parameters<typeof request>): Promise<string> {
  const ran = await finish(await stage.runtime.start(request(...args)));
  return ran.stdout + ran.stderr;
}

describe("an idmapped root", () => {
  rooted("has the image's owners inside, and the container's ids on disk", async () => {
    const layers = makeLayers();
    const script =
      "stat -c '%u:%g %n' / /etc/of-root /etc/of-five; echo x >>/etc/of-five; : >/new; chown 9:9 /new; mkdir /d";
    expect(await run(script, layers, 100_000)).toBe("0:0 /\n0:0 /etc/of-root\n5:6 /etc/of-five\n");
    const ownersOf = (path: string) => {
      const { uid, gid } = lstatSync(join(layers.upper, path));
      return [uid, gid];
    };
    expect([ownersOf("etc/of-five"), ownersOf("new"), ownersOf("d")]).toEqual([
      [5, 6],
      [9, 9],
      [0, 0],
    ]);
    expect(await run("stat -c '%u:%g' /new /etc/of-five /d; cat /etc/of-five", layers, 700_000)).toBe(
      "9:9\n5:6\n0:0\nfive's\nx\n",
    );
    expect(await run("stat -c '%u:%g' /new /etc/of-five", layers, undefined)).toBe("9:9\n5:6\n");
  });

  rooted("is the host's nobody in the process table", async () => {
    const layers = makeLayers();
    const sleeper = await stage.runtime.start(request("exec sleep 1000", layers, 200_000));
    try {
      expect(lstatSync(`/proc/${sleeper.pid}`).uid).toBe(200_000);
    } finally {
      await sleeper.signal(9);
      await sleeper.gone;
    }
  });

  rooted("opens the sources of binds as the host's root, and does not map their owners", async () => {
    const layers = makeLayers();
    const home = join(stage.directory, "home");
    mkdirSync(join(home, "data"), { recursive: true });
    writeFileSync(join(home, "data/file"), "of the host");
    chownSync(home, 1234, 1234);
    chmodSync(home, 0o700);
    const script = "cat /data/file; stat -c ' %u' /data/file; (echo x >/data/file) 2>&1 | grep -o 'Permission denied'";
    expect(
      await run(script, layers, 100_000, ({ config }) => {
        config.mounts!.push({ destination: "/data", type: "bind", source: join(home, "data"), options: ["rbind"] });
      }),
    ).toBe("of the host 65534\nPermission denied\n");
  });

  rooted("keeps what restricts a mount of the host's locked, for a root who may mount", async () => {
    const layers = makeLayers();
    const source = join(stage.directory, "locked");
    mkdirSync(join(source, "below"), { recursive: true });
    for (const [path, options] of [
      [source, "mode=755"],
      [join(source, "below"), "ro,nosuid"],
    ] as const) {
      mkdirSync(path, { recursive: true });
      expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "none", path]).exitCode).toBe(0);
    }
    const script = [
      "mount -o remount,bind,rw /data/below && echo unlocked",
      "umount /data/below && echo uncovered",
      "mount -t tmpfs none /tmp && echo mounts",
    ];
    try {
      const output = await run(script.join("; "), layers, 100_000, ({ config }) => {
        const { capabilities } = config.process!;
        for (const set of ["bounding", "effective", "permitted"] as const)
          capabilities![set] = [...capabilities![set]!, "CAP_SYS_ADMIN"];
        config.mounts!.push({ destination: "/data", type: "bind", source, options: ["rbind"] });
      });
      expect(output).not.toMatch(/unlocked|uncovered/);
      expect(output).toContain("mounts");
    } finally {
      for (const path of [join(source, "below"), source]) Bun.spawnSync(["umount", path]);
    }
  });

  rooted("honours set-user-id programs of the image for users of the container alone", async () => {
    const layers = makeLayers();
    copyFileSync("/bin/id", join(layers.layer, "etc/id"));
    chmodSync(join(layers.layer, "etc/id"), 0o4755);
    const output = await run("/etc/id -u; cat /proc/self/uid_map | tr -s ' '", layers, 300_000, ({ config }) => {
      config.process!.user = { uid: 1000, gid: 1000 };
    });
    expect(output).toBe("0\n 0 300000 65536\n");
  });

  rootedWith("setcap")("honours capabilities of files of the image", async () => {
    const layers = makeLayers();
    copyFileSync("/bin/cat", join(layers.layer, "etc/cat"));
    const set = Bun.spawnSync(["setcap", "cap_net_raw+ep", join(layers.layer, "etc/cat")]);
    expect(set.exitCode).toBe(0);
    const output = await run("/etc/cat /proc/self/status | grep CapEff", layers, 300_000, ({ config }) => {
      config.process!.user = { uid: 1000, gid: 1000 };
    });
    expect(output).toBe("CapEff:\t0000000000002000\n");
  });

  rooted("lets a container in that joins another one's user namespace", async () => {
    const [first, second] = [makeLayers(), makeLayers()];
    const peer = await stage.runtime.start(request("exec sleep 1000", first, 400_000));
    try {
      const output = await run(
        "readlink /proc/self/ns/user /proc/self/ns/net; stat -c %u /etc/of-root /etc/of-five; : >/n",
        second,
        400_000,
        ({ config }) => {
          for (const type of ["user", "network"] as const) {
            const file = type === "network" ? "net" : type;
            const namespace = config.linux!.namespaces!.find((each) => each.type === type)!;
            namespace.path = `/proc/${peer.pid}/ns/${file}`;
          }
        },
      );
      const link = (name: string) => Bun.spawnSync(["readlink", `/proc/${peer.pid}/ns/${name}`]).stdout.toString();
      expect(output).toBe(`${link("user")}${link("net")}0\n5\n`);
      expect(lstatSync(join(second.upper, "n")).uid).toBe(0);
    } finally {
      await peer.signal(9);
      await peer.gone;
    }
  });

  rooted("is there for a container that somebody else puts into its cgroup", async () => {
    const placed: string[] = [];
    const asked = request(
      "stat -c %u /etc/of-root; cat /proc/self/cgroup | cut -d: -f3 | sort -u",
      makeLayers(),
      100_000,
      (whole) => {
        whole.placeInCgroup = async (pid, plan, host) => {
          placed.push(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().replaceAll(/ +/g, " "));
          await placeInCgroup(pid, plan, host);
        };
      },
    );
    try {
      const { stdout, stderr } = await finish(await stage.runtime.start(asked));
      expect(stdout + stderr).toBe("0\n/\n");
      expect(placed).toEqual(["0 100000 65536"]);
    } finally {
      await stage.runtime.cleanup(asked);
    }
  });

  rooted("leads no path of the layers anywhere else", async () => {
    const layers = makeLayers();
    symlinkSync("/", join(layers.upper, "out"));
    expect(await run("ls /out/etc", layers, 100_000)).toContain("of-root");
  });
});
