import { afterEach, beforeEach, describe, expect } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ImageStore, installHello, readFileInLayers } from "../../src/image/mod.ts";
import { fsetxattr, getxattrFd } from "../../src/linux/sys/fs.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive, imageDocument, ociLayout, sha256, tarOfFiles } from "../support/image-archive.ts";
import { failureOf, makeTempDir, pieces, snapshot, storeSnapshot } from "../support/image-store.ts";
import { paxHeader, type RawHeader, rawTar } from "../support/image-tar.ts";
import { testIf } from "../support/test-if.ts";

const test = testIf(process.getuid!() === 0, "needs root");

function hasTool(name: string): boolean {
  return Bun.which(name) !== null;
}
const testPeers = testIf(
  process.getuid!() === 0 && hasTool("skopeo") && hasTool("umoci"),
  "needs root, skopeo and umoci",
);

const HOST_ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

const EXT4_MAGIC = 0xef53;
const testSpread = testIf(
  process.getuid!() === 0 &&
    hasTool("lsattr") &&
    statfsSync(process.env.LIGHTER_TEST_DIR ?? tmpdir()).type === EXT4_MAGIC,
  "needs root, ext4 and lsattr",
);

let temp: string;
let storePath: string;
let store: ImageStore;

beforeEach(async () => {
  temp = makeTempDir();
  storePath = join(temp, "store");
  store = await ImageStore.open(storePath);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(temp, { recursive: true });
});

/** Loads one image with these layers; its layers' directories, topmost first. */
async function loadLayers(layers: Buffer[], config: object = {}): Promise<string[]> {
  const [image] = await store.load(pieces(dockerArchive({ layers, config })));
  return store.layersOf(image!.id).lowerDirs;
}

async function loadLayer(...entries: (RawHeader | Buffer)[]): Promise<string> {
  return (await loadLayers([rawTar(...entries)]))[0]!;
}

function layerFailure(...entries: (RawHeader | Buffer)[]) {
  return failureOf(() => loadLayer(...entries));
}

testSpread("ext4 is told that layers, and steps of builds, do not belong together", () => {
  for (const name of ["l", "steps"])
    expect(execFileSync("lsattr", ["-d", join(storePath, name)], { encoding: "utf8" })).toMatch(/^\S*T/);
});

/** Mounts the image as a container would, runs `look` on the merged root, and unmounts. */
function withMounted<T>(name: string, look: (root: string) => T): T {
  const [upper, work, root] = ["upper", "work", "root"].map((directory) => join(temp, directory)) as [
    string,
    string,
    string,
  ];
  for (const directory of [upper, work, root]) mkdirSync(directory);
  const { root: attributes } = store.layersOf(name);
  chmodSync(upper, attributes.mode);
  chownSync(upper, attributes.uid, attributes.gid);
  const [mount] = store.mountsFor(name, { upperPath: upper, workPath: work });
  // mount(2), for all options at once: fsconfig(2), which mount(8) prefers, takes 255 bytes for each.
  const env = { ...process.env, LIBMOUNT_FORCE_MOUNT2: "always" };
  execFileSync("mount", ["-t", "overlay", "-o", mount!.options!.join(","), "overlay", root], { env });
  try {
    return look(root);
  } finally {
    execFileSync("umount", [root]);
    for (const directory of [upper, work, root]) rmSync(directory, { recursive: true });
  }
}

/** A tar of the tree: equal bytes mean equal names, modes, owners, times, links, devices, xattrs and contents. */
function tarOf(root: string): Buffer {
  utimesSync(root, 0, 0); // not every layer has an entry for its root
  const format = ["--format=posix", "--pax-option=delete=atime,delete=ctime", "--sort=name", "--numeric-owner"];
  return execFileSync("tar", ["-C", root, "--xattrs", "--xattrs-include=*", ...format, "-cf", "-", "."], {
    maxBuffer: 1 << 30,
  });
}

function setXattr(path: string, name: string, value: Uint8Array): void {
  const fd = openSync(path, "r");
  fsetxattr(fd, name, value, path);
}

/** A small distribution: every kind of file, odd owners, modes, times, names and xattrs. */
function makeTree(root: string): void {
  for (const directory of ["bin", "etc", "dev", "tmp", "home/app/deep/er", "var/lib/empty"])
    mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(join(root, "bin/tool"), Buffer.alloc(300_000, "tool"));
  chmodSync(join(root, "bin/tool"), 0o4755);
  setXattr(
    join(root, "bin/tool"),
    "security.capability",
    Buffer.from("0100000200040000000000000000000000000000", "hex"),
  );
  linkSync(join(root, "bin/tool"), join(root, "bin/tool-link"));
  symlinkSync("tool", join(root, "bin/sh"));
  symlinkSync("/etc/passwd", join(root, "etc/absolute"));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n");
  // One xattr a file: their order in a tar is the file system's own.
  setXattr(join(root, "etc/passwd"), "user.comment", Buffer.from("hi"));
  writeFileSync(join(root, "etc/shadow"), "", { mode: 0o640 });
  chownSync(join(root, "etc/shadow"), 0, 42);
  writeFileSync(join(root, "home/app/sparse"), "start");
  truncateSync(join(root, "home/app/sparse"), 1_000_000);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/home/app/`), Buffer.of(0xff, 0xfe, 0x20, 0x0a)]), "odd name");
  writeFileSync(join(root, "home/app/deep/er", "n".repeat(240)), "long name");
  chownSync(join(root, "home/app"), 1000, 100_000);
  chmodSync(join(root, "home/app"), 0o2750);
  chmodSync(join(root, "tmp"), 0o1777);
  chmodSync(join(root, "var/lib/empty"), 0o000);
  setXattr(join(root, "var"), "user.directory", Buffer.from("x"));
  execFileSync("mknod", [join(root, "dev/null"), "c", "1", "3"]);
  chmodSync(join(root, "dev/null"), 0o666);
  execFileSync("mknod", [join(root, "dev/disk"), "b", "259", "70000"]);
  execFileSync("mkfifo", [join(root, "dev/fifo")]);
  utimesSync(join(root, "etc/passwd"), 1_000_000_000.25, 1_000_000_000.25);
  utimesSync(join(root, "etc"), 1, 1);
}

describe("peers", () => {
  testPeers(
    "an unpacked tree equals its source, and what umoci unpacks",
    async () => {
      const tree = join(temp, "tree");
      mkdirSync(tree);
      makeTree(tree);
      const expected = tarOf(tree);
      for (const options of [["--format=posix"], ["--format=posix", "--sparse"], ["--format=gnu", "--sparse"]]) {
        const layer = execFileSync(
          "tar",
          ["-C", tree, ...options, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-cf", "-", "."],
          { maxBuffer: 1 << 30 },
        );
        const directory = await loadLayer(layer);
        expect(sha256(tarOf(directory)) === sha256(expected)).toBe(true);
        expect(statSync(join(directory, "home/app/sparse")).size).toBe(1_000_000);
      }
      const archivePath = join(temp, "image.tar");
      const layer = execFileSync(
        "tar",
        ["-C", tree, "--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-cf", "-", "."],
        { maxBuffer: 1 << 30 },
      );
      writeFileSync(archivePath, dockerArchive({ layers: [layer], tags: ["tree:1"] }));
      execFileSync("skopeo", ["copy", "-q", `docker-archive:${archivePath}`, `oci:${temp}/oci:1`]);
      execFileSync("umoci", ["unpack", "--image", `${temp}/oci:1`, join(temp, "bundle")], { stdio: "ignore" });
      expect(sha256(tarOf(join(temp, "bundle/rootfs"))) === sha256(expected)).toBe(true);
    },
    60_000,
  );

  testPeers(
    "two layers with whiteouts merge to what umoci unpacks, from each of skopeo's formats",
    async () => {
      const oci = join(temp, "oci");
      const run = (...args: string[]): void => void execFileSync("umoci", args, { stdio: "ignore" });
      run("init", "--layout", oci);
      run("new", "--image", `${oci}:v1`);
      const first = join(temp, "first");
      run("unpack", "--image", `${oci}:v1`, first);
      makeTree(join(first, "rootfs"));
      for (const name of ["gone/a", "replaced/a", "file-then-dir", "opaque/old"]) {
        mkdirSync(join(first, "rootfs", name, ".."), { recursive: true });
        writeFileSync(join(first, "rootfs", name), name);
      }
      run("repack", "--image", `${oci}:v1`, first);
      const second = join(temp, "second");
      run("unpack", "--image", `${oci}:v1`, second);
      rmSync(join(second, "rootfs/gone"), { recursive: true });
      rmSync(join(second, "rootfs/replaced"), { recursive: true });
      writeFileSync(join(second, "rootfs/replaced"), "now a file");
      rmSync(join(second, "rootfs/file-then-dir"));
      mkdirSync(join(second, "rootfs/file-then-dir"));
      writeFileSync(join(second, "rootfs/etc/new"), "new");
      rmSync(join(second, "rootfs/bin/tool-link"));
      run("repack", "--image", `${oci}:v1`, second);
      const bundle = join(temp, "bundle");
      run("unpack", "--image", `${oci}:v1`, bundle);
      const expected = tarOf(join(bundle, "rootfs"));

      const sources = {
        "docker-archive": `docker-archive:${temp}/da.tar:merged:da`,
        "oci-archive": `oci-archive:${temp}/oa.tar:merged:oa`,
      };
      for (const destination of Object.values(sources))
        execFileSync("skopeo", ["copy", "-q", `oci:${oci}:v1`, destination]);
      execFileSync("skopeo", [
        "copy",
        "-q",
        "--dest-compress",
        "--dest-compress-format",
        "zstd",
        `docker-archive:${temp}/da.tar`,
        `oci-archive:${temp}/oz.tar:merged:oz`,
      ]);
      for (const [file, names] of [
        ["da.tar", ["merged:da"]],
        ["oa.tar", ["merged:oa"]],
        ["oz.tar", ["merged:oz"]],
        ["oci", []],
      ] as const) {
        await using fresh = await ImageStore.open(join(temp, `store-${file}`));
        const outer = store;
        store = fresh;
        try {
          const [image] = await fresh.load({ path: join(temp, file) });
          expect(image!.names).toEqual([...names]);
          const actual = withMounted(image!.id, tarOf);
          if (!actual.equals(expected)) {
            writeFileSync(join(temp, "a.tar"), actual);
            writeFileSync(join(temp, "b.tar"), expected);
            const list = (name: string): string =>
              execFileSync("tar", ["-tvf", join(temp, name), "--full-time"]).toString();
            expect(list("a.tar")).toBe(list("b.tar"));
            throw new Error("the trees' contents or xattrs differ");
          }
        } finally {
          store = outer;
        }
      }
    },
    60_000,
  );
});

describe("an archive from before Docker 1.10", () => {
  const [base, top] = ["a", "b"].map((digit) => digit.repeat(64)) as [string, string];
  const layers = { [base]: rawTar({ name: "base", content: "b" }), [top]: rawTar({ name: "top", content: "t" }) };
  const created = "2015-06-01T02:03:04.5Z";
  const common = { created, docker_version: "1.9.1", architecture: HOST_ARCHITECTURE, os: "linux" };
  const configs = {
    [base]: { id: base, ...common, container_config: { Cmd: ["/bin/sh", "-c", "#(nop) ADD"] }, config: {}, Size: 1 },
    [top]: { id: top, parent: base, ...common, author: "me", config: { Cmd: ["/top"] }, Size: 1, throwaway: true },
  };
  const archiveOf = (repositories: object, changed: Record<string, object> = {}): Buffer =>
    rawTar(
      ...[top, base].flatMap((id) => [
        { name: `${id}/VERSION`, content: "1.0" },
        { name: `${id}/json`, content: JSON.stringify({ ...configs[id], ...changed[id] }) },
        { name: `${id}/layer.tar`, content: layers[id]! },
      ]),
      { name: "repositories", content: JSON.stringify(repositories) },
    );

  test("is loaded with its chain of layers and all of its names", async () => {
    const [image] = await store.load(pieces(archiveOf({ old: { "1": top, latest: top } })));
    expect(image!.names.sort()).toEqual(["old:1", "old:latest"]);
    const paths = store.layersOf(image!.id).lowerDirs;
    expect(paths.map((path) => readdirSync(path))).toEqual([["top"], ["base"]]);
    const { document } = store.get("old:1");
    expect(document).toMatchObject({ author: "me", config: { Cmd: ["/top"] }, created });
    expect(document.history).toEqual([
      { created, created_by: "/bin/sh -c #(nop) ADD" },
      { created, author: "me" },
    ]);
    expect(image!.id as string).toBe(
      `sha256:${sha256(
        JSON.stringify({
          architecture: HOST_ARCHITECTURE,
          author: "me",
          config: { Cmd: ["/top"] },
          created,
          docker_version: "1.9.1",
          history: document.history,
          os: "linux",
          rootfs: { type: "layers", diff_ids: [base, top].map((id) => `sha256:${sha256(layers[id]!)}`) },
        }),
      )}`,
    );
  });

  test("with a circle of parents, a missing one or none at all is refused by name", async () => {
    const failures: [Buffer, string][] = [
      [archiveOf({ old: { "1": top } }, { [base]: { parent: top } }), "more than 127 layers"],
      [archiveOf({ old: { "1": "c".repeat(64) } }), `"${"c".repeat(64)}/json" is not in the archive`],
      [archiveOf({ old: { "1": "../x" } }), "invalid image id"],
      [archiveOf({}), "repositories lists no images"],
    ];
    for (const [archive, message] of failures) {
      const error = await failureOf(() => store.load(pieces(archive)), message);
      expect(error).toMatchObject({ code: "invalid" });
      expect(error.message).toContain(message);
    }
  });
});

describe("a layer's meaning", () => {
  test("whiteouts and opaque directories take overlayfs's form", async () => {
    const directory = await loadLayer(
      { name: "dir/", type: "5" },
      { name: "dir/.wh.gone" },
      { name: "opaque/", type: "5" },
      { name: "opaque/.wh..wh..opq" },
      { name: ".wh..wh.plnk/x" },
    );
    const gone = statSync(join(directory, "dir/gone"));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    const opaque = openSync(join(directory, "opaque"), "r");
    expect(String(getxattrFd(opaque, "trusted.overlay.opaque"))).toBe("y");
    expect(readdirSync(directory).sort()).toEqual(["dir", "opaque"]);
  });

  test("a whiteout hides what is below and never what its own layer brings, in either order", async () => {
    const base = rawTar(
      ...["d1", "d2", "d3", "d4"].flatMap((name) => [{ name: `${name}/`, type: "5" }, { name: `${name}/old` }]),
      { name: "f1", content: "old" },
      { name: "f2", content: "old" },
    );
    const top = rawTar(
      { name: ".wh.d1" },
      { name: "d1/", type: "5" },
      { name: "d1/new" },
      { name: "d2/", type: "5" },
      { name: "d2/new" },
      { name: ".wh.d2" },
      { name: ".wh.d3" },
      { name: "d3/new" },
      { name: "d4/.wh.old" },
      { name: ".wh.d4" },
      { name: ".wh.f1" },
      { name: "f1", content: "new" },
      { name: "f2", content: "new" },
      { name: ".wh.f2" },
    );
    await loadLayers([base, top]);
    withMounted(store.list()[0]!.id, (root) => {
      expect(readdirSync(root).sort()).toEqual(["d1", "d2", "d3", "f1", "f2"]);
      for (const name of ["d1", "d2", "d3"]) expect(readdirSync(join(root, name))).toEqual(["new"]);
      for (const name of ["f1", "f2"]) expect(readFileSync(join(root, name), "utf8")).toBe("new");
    });
  });

  test("a later entry of the same name replaces the earlier one, and a directory keeps its content", async () => {
    const directory = await loadLayer(
      { name: "a", content: "file" },
      { name: "a/", type: "5", mode: 0o700 },
      { name: "a/b", content: "b" },
      { name: "a/", type: "5", mode: 0o711 },
      { name: "c/", type: "5" },
      { name: "c/d/e", content: "x" },
      { name: "c", type: "2", linkName: "a" },
      { name: "f", content: "1" },
      { name: "f", content: "22" },
    );
    expect(readdirSync(join(directory, "a"))).toEqual(["b"]);
    expect(statSync(join(directory, "a")).mode & 0o7777).toBe(0o711);
    expect(readlinkSync(join(directory, "c"))).toBe("a");
    expect(readFileSync(join(directory, "f"), "utf8")).toBe("22");
  });

  test("directories that a layer implies have the mode and owner of the layer below, for each chain by itself", async () => {
    const strict = rawTar({ name: "data/", type: "5", mode: 0o750, uid: 5, gid: 6, mtime: 7 });
    const open = rawTar({ name: "data/", type: "5", mode: 0o777 });
    const top = rawTar({ name: "data/new", content: "x" });
    const modes = [];
    for (const layers of [[strict, top], [open, top], [top]]) {
      const [directory] = await loadLayers(layers);
      const { mode, uid, gid } = statSync(join(directory!, "data"));
      modes.push([mode & 0o7777, uid, gid]);
    }
    expect(modes).toEqual([
      [0o750, 5, 6],
      [0o777, 0, 0],
      [0o755, 0, 0],
    ]);
  });

  test("the root's mode and owner are those of the topmost layer that mentions it", async () => {
    const [image] = await store.load(
      pieces(
        dockerArchive({
          layers: [rawTar({ name: "./", type: "5", mode: 0o711, uid: 3, gid: 4 }), rawTar({ name: "x" })],
        }),
      ),
    );
    expect(store.layersOf(image!.id).root).toEqual({ mode: 0o711, uid: 3, gid: 4 });
    withMounted(image!.id, (root) => expect(statSync(root).mode & 0o7777).toBe(0o711));
  });

  test("xattrs of overlayfs itself are not taken from a layer", async () => {
    const directory = await loadLayer(
      paxHeader({ "SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.ok": "1" }),
      { name: "d/", type: "5" },
    );
    const fd = openSync(join(directory, "d"), "r");
    expect(getxattrFd(fd, "trusted.overlay.redirect")).toBeUndefined();
    expect(String(getxattrFd(fd, "user.ok"))).toBe("1");
  });

  test("gzip, zstd and plain layers unpack alike, with gzip, zstd and no compression outside", async () => {
    const diff = rawTar({ name: "f", content: "x".repeat(100_000) });
    const types = {
      "": (b: Buffer) => b,
      "+gzip": (b: Buffer) => gzipSync(b),
      "+zstd": (b: Buffer) => zstdCompressSync(b),
    };
    for (const [suffix, compress] of Object.entries(types))
      for (const outer of Object.values(types)) {
        await using fresh = await ImageStore.open(join(temp, `s${Math.random()}`));
        const mediaType = `application/vnd.oci.image.layer.v1.tar${suffix}`;
        const files = ociLayout({ layers: [compress(diff)], diffs: [diff], mediaType, refName: "x.io/a:b" });
        const [image] = await fresh.load(pieces(outer(tarOfFiles(files)), 1000));
        expect(image!.names).toEqual(["x.io/a:b"]);
        expect(statSync(join(fresh.layersOf("x.io/a:b").lowerDirs[0]!, "f")).size).toBe(100_000);
      }
  });

  test("127 layers fit into one mount below the usual data directory, and mount", async () => {
    const layers = Array.from({ length: 127 }, (_, i) => rawTar({ name: `f${i}`, content: `${i}` }));
    await store[Symbol.asyncDispose]();
    const usual = "/var/lib/lighter/images";
    const shortPath = mkdtempSync("/tmp/i");
    execFileSync("mount", ["--bind", temp, shortPath]);
    try {
      store = await ImageStore.open(shortPath);
      const [image] = await store.load(pieces(dockerArchive({ layers })));
      withMounted(image!.id, (root) => expect(readdirSync(root).length).toBe(127));
      const container = `/var/lib/lighter/containers/${"0".repeat(64)}`;
      const options = store
        .mountsFor(image!.id, { upperPath: `${container}/upper`, workPath: `${container}/work` })[0]!
        .options!.join(",");
      expect(options.replaceAll(shortPath, usual).length).toBeLessThan(4096);
      const long = `/${"x".repeat(2000)}`;
      expect(() => store.mountsFor(image!.id, { upperPath: long, workPath: long })).toThrow("above the limit of 4095");
    } finally {
      await store[Symbol.asyncDispose]();
      execFileSync("umount", [shortPath]);
      rmSync(shortPath, { recursive: true });
      store = await ImageStore.open(storePath);
    }
  });

  test("an image without layers mounts as an empty root", async () => {
    const [image] = await store.load(pieces(dockerArchive({ layers: [] })));
    withMounted(image!.id, (root) => expect(readdirSync(root)).toEqual([]));
  });
});

describe("hostile layers", () => {
  test("entries and hard links that leave the root are refused, and nothing outside changes", async () => {
    const marker = join(temp, "marker");
    mkdirSync(marker);
    writeFileSync(join(marker, "secret"), "secret");
    const before = snapshot(marker);
    const up = "../".repeat(20);
    expect((await layerFailure({ name: "../escape" })).message).toContain('entry "../escape" leaves the root');
    expect((await layerFailure({ name: `a/../../${marker}/x` })).message).toContain("leaves the root");
    expect((await layerFailure({ name: "h", type: "1", linkName: `${up}${marker}/secret` })).message).toContain(
      "leaves",
    );
    expect((await layerFailure({ name: "h", type: "1", linkName: `${marker}/secret` })).message).toContain(
      "not in this layer",
    );
    expect((await layerFailure({ name: "../.wh.marker" })).message).toContain("leaves the root");
    expect((await layerFailure({ name: ".wh...", content: "" })).message).toContain("no valid whiteout");
    expect(snapshot(marker)).toEqual(before);
  });

  test("symlinks of the layer lead nowhere outside it, absolute or relative, as parents or as link targets", async () => {
    const marker = join(temp, "marker");
    mkdirSync(marker);
    writeFileSync(join(marker, "secret"), "secret");
    const before = snapshot(marker);
    for (const linkName of [marker, `${"../".repeat(20)}${marker}`, "/proc/self/root", "/proc/self/cwd"]) {
      const link: RawHeader = { name: "link", type: "2", linkName };
      await failureOf(() => loadLayer(link, { name: "link/planted", content: "x" })).catch(() => undefined);
      await failureOf(() => loadLayer(link, { name: "h", type: "1", linkName: "link/secret" }));
      await failureOf(() => loadLayer(link, { name: "link/.wh.secret" })).catch(() => undefined);
      // The last component is replaced, not followed.
      const directory = await loadLayer(link, { name: "link", content: "file now" });
      expect(lstatSync(join(directory, "link")).isFile()).toBe(true);
      const other = await loadLayer(link, { name: "link/", type: "5" });
      expect(lstatSync(join(other, "link")).isDirectory()).toBe(true);
    }
    expect(snapshot(marker)).toEqual(before);
  });

  test("an absolute symlink as a parent is resolved inside the layer", async () => {
    const directory = await loadLayer(
      { name: "real/", type: "5" },
      { name: "link", type: "2", linkName: "/real" },
      { name: "link/file", content: "x" },
      { name: "/absolute", content: "y" },
    );
    expect(readFileSync(join(directory, "real/file"), "utf8")).toBe("x");
    expect(readFileSync(join(directory, "absolute"), "utf8")).toBe("y");
  });

  test("an image whose /dev, /proc and /etc are symlinks unpacks as it is", async () => {
    const links = ["dev", "proc", "etc"].map((name) => ({ name, type: "2", linkName: "/tmp" }));
    const directory = await loadLayer(...links);
    expect(readdirSync(directory).map((name) => readlinkSync(join(directory, name)))).toEqual(["/tmp", "/tmp", "/tmp"]);
  });

  test("a parent that is a file, a hard link to a directory or to itself, and a file as the root are refused", async () => {
    expect((await layerFailure({ name: "f" }, { name: "f/x" })).message).toContain("parent that is no directory");
    expect((await layerFailure({ name: "d/", type: "5" }, { name: "h", type: "1", linkName: "d" })).message).toContain(
      "a directory",
    );
    expect((await layerFailure({ name: "h", type: "1", linkName: "./h" })).message).toContain("to itself");
    expect((await layerFailure({ name: "./", type: "2", linkName: "x" })).message).toContain("replaces the root");
    const deep = await layerFailure(paxHeader({ path: "d/".repeat(300) }), { name: "x", type: "5" });
    expect(deep.message).toContain("deeper than 256");
    const chained = await layerFailure(
      paxHeader({ linkpath: "d/".repeat(200) }),
      { name: "one", type: "2" },
      paxHeader({ path: "d/".repeat(200) }),
      { name: "x", type: "5" },
      paxHeader({ path: `one/${"d/".repeat(200)}` }),
      { name: "x", type: "5" },
    );
    expect(chained).toMatchObject({ code: "invalid" });
    expect(chained.message).toContain("leads through symlinks deeper than 256 directories");
  });

  test("a small archive whose directories' xattrs would fill the memory is refused", async () => {
    const xattrs = Array.from({ length: 16 }, (_, i) => [`SCHILY.xattr.user.x${i}`, "x".repeat(60_000)]);
    const header = paxHeader(Object.fromEntries(xattrs));
    const entries = Array.from({ length: 150 }, (_, i) => [header, { name: `d${i}/`, type: "5" }]).flat();
    const error = await failureOf(() => loadLayers([gzipSync(rawTar(...entries), { level: 1 })]));
    expect(error).toMatchObject({ code: "invalid" });
    expect(error.message).toContain("bytes of paths and xattrs of directories");
  });
});

describe("a load as a stream", () => {
  const layer = rawTar({ name: "first", content: "first" });
  const rest = rawTar({ name: "second", content: "second" });
  const document = Buffer.from(JSON.stringify(imageDocument([layer, rest])));
  const blobName = (bytes: Buffer) => `blobs/sha256/${sha256(bytes)}`;

  /** `docker save`'s form since Docker 25: content is named by its digest, and manifest.json comes last. */
  function archiveOf(layers: Buffer[], tag: string, config = document): Buffer {
    const manifest = [{ Config: blobName(config), RepoTags: [tag], Layers: layers.map(blobName) }];
    return rawTar(
      ...layers.map((content) => ({ name: blobName(content), content })),
      { name: blobName(config), content: config },
      { name: "manifest.json", content: JSON.stringify(manifest) },
    );
  }

  const ingestFiles = (): string[] =>
    readdirSync(join(storePath, "ingest"), { recursive: true, encoding: "utf8" }).map((path) =>
      path.replace(/^[^/]*\//, ""),
    );

  test("a layer is unpacked before the archive's next one has come", async () => {
    const archive = archiveOf([layer, rest], "streamed:1");
    let seen: string[] = [];
    const source = (async function* () {
      yield archive.subarray(0, 512 + layer.length + 512);
      await until(() => ingestFiles().includes("1.d/first"), "the first layer is unpacked");
      seen = ingestFiles();
      yield archive.subarray(512 + layer.length + 512);
    })();
    const [image] = await store.load(source);
    expect(seen).not.toContain("2");
    const paths = store.layersOf(image!.id).lowerDirs;
    expect(paths.map((path) => readdirSync(path))).toEqual([["second"], ["first"]]);
    expect(ingestFiles()).toEqual([]);
  });

  test("what is there already is passed over, and layers may be there in another form", async () => {
    const stored = gzipSync(layer);
    const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
    await store.load(pieces(tarOfFiles(ociLayout({ layers: [stored], diffs: [layer], mediaType, refName: "gzip:1" }))));
    const archive = archiveOf([layer, rest], "again:1");
    // The bytes of the layer that is there are not looked at.
    const spoiled = Buffer.from(archive);
    spoiled.fill(0xff, 512, 512 + layer.length);
    const progress = new Set<string>();
    const [image] = await store.load(pieces(spoiled), ({ diffId }) => progress.add(diffId));
    expect([...progress]).toEqual([`sha256:${sha256(rest)}`]);
    expect(store.get(image!.id).manifest.layers.map(({ digest }) => digest as string)).toEqual([
      `sha256:${sha256(stored)}`,
      `sha256:${sha256(rest)}`,
    ]);
    const before = storeSnapshot(storePath);
    expect((await store.load(pieces(archive)))[0]).toEqual(image!);
    expect(storeSnapshot(storePath)).toEqual(before);
  });

  test("a layer that takes attributes over from those below is passed over too, and unpacked for each chain", async () => {
    const implying = rawTar({ name: "dir/file", content: "x" });
    const below = (mode: number) => rawTar({ name: "dir/", type: "5", mode });
    const [one, two] = [0o700, 0o711].map((mode) => [below(mode), implying] as [Buffer, Buffer]);
    const config = (layers: Buffer[]) => Buffer.from(JSON.stringify(imageDocument(layers)));
    await store.load(pieces(archiveOf(one!, "one:1", config(one!))));
    const spoiled = archiveOf(two!, "two:1", config(two!));
    const at = spoiled.indexOf(blobName(implying)) + 512;
    spoiled.fill(0xff, at, at + implying.length);
    const [image] = await store.load(pieces(spoiled));
    const [top] = store.layersOf(image!.id).lowerDirs;
    expect(statSync(join(top!, "dir")).mode & 0o777).toBe(0o711);
  });

  test("a layer that two images have, and one that an image has twice, are there once", async () => {
    const twice = Buffer.from(JSON.stringify(imageDocument([layer, layer])));
    const images = [...(await store.load(pieces(archiveOf([layer, layer], "twice:1", twice))))];
    images.push(...(await store.load(pieces(archiveOf([layer, rest], "both:1")))));
    const [two, both] = images.map(({ id }) => store.layersOf(id).lowerDirs);
    expect(two![0]).toBe(two![1]!);
    expect(both![1]).toBe(two![0]!);
  });

  test("a worker that is given no layers takes any file for what it is", async () => {
    const files = {
      a: "",
      b: "x".repeat(600),
      c: Buffer.alloc(512),
      d: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]),
    };
    const entries = Object.entries(files).map(([name, content]) => ({ name, content }));
    const error = await failureOf(() => store.load(pieces(rawTar(...entries))));
    expect(error.message).toContain("neither manifest.json nor index.json");
    expect(ingestFiles()).toEqual([]);
  });
});

describe("failed loads", () => {
  const good = rawTar({ name: "good", content: "good" });

  function cases(): Record<string, [archive: Buffer, message: string, code?: string]> {
    const other = rawTar({ name: "f", content: "y".repeat(100_000) });
    const archive = dockerArchive({ layers: [good, other], tags: ["bad:1"] });
    const manifest = (value: object): Buffer => rawTar({ name: "manifest.json", content: JSON.stringify(value) });
    const withDocument = (document: object, layers: string[], extra: RawHeader[] = []): Buffer =>
      rawTar(
        ...extra,
        { name: "config.json", content: JSON.stringify(document) },
        {
          name: "manifest.json",
          content: JSON.stringify([{ Config: "config.json", RepoTags: ["bad:1"], Layers: layers }]),
        },
      );
    const layout = ociLayout({ layers: [other] });
    const layer = [...layout.keys()].find((name) => layout.get(name) === other)!;
    const wrong = rawTar({ name: "f", content: "z".repeat(100_000) });
    const flipped = Buffer.from(gzipSync(archive));
    flipped[flipped.length >> 1]! ^= 0xff;
    return {
      "a 0-byte file": [Buffer.alloc(0), "the archive is empty"],
      "random bytes": [Buffer.alloc(2048, 0xa7), "tar archive"],
      "a tar of nothing": [rawTar(), "holds no files"],
      "a tar of something else": [rawTar({ name: "README", content: "hi" }), "not an image archive"],
      "an archive cut short": [archive.subarray(0, archive.length - 60_000), "middle of an entry"],
      "gzip cut short": [gzipSync(archive).subarray(0, -30), "gzip data is corrupt or cut short"],
      "gzip with a flipped byte": [flipped, "load image: "],
      "an xz archive cut short": [
        Buffer.from("fd377a585a0000", "hex"),
        "xz",
        Bun.which("xz") === null ? "unavailable" : "invalid",
      ],
      "manifest.json that is no JSON": [rawTar({ name: "manifest.json", content: "{" }), "manifest.json is not JSON"],
      "manifest.json pointing out of the archive": [
        manifest([{ Config: "../../../../../../etc/passwd", Layers: [] }]),
        'names the config "../../../../../../etc/passwd", which is not in the archive',
      ],
      "layers pointing out of the archive": [
        withDocument(imageDocument([other]), ["../../../etc/passwd"]),
        'layer "../../../etc/passwd" is not in the archive',
      ],
      "a symlink in the archive to a file of the host": [
        withDocument(imageDocument([other]), ["l"], [{ name: "l", type: "2", linkName: "/etc/passwd" }]),
        'layer "l" is not in the archive',
      ],
      "fewer layers than diff_ids": [withDocument(imageDocument([good, other]), ["l"]), "diff_ids has 2"],
      "a layer that is not its diffId": [
        withDocument(
          imageDocument([good, other]),
          ["good", "l"],
          [
            { name: "good", content: good },
            { name: "l", content: wrong },
          ],
        ),
        `unpack layer sha256:${sha256(other)}: its content has the digest sha256:${sha256(wrong)}`,
      ],
      "a layer that is no tar": [
        withDocument(imageDocument([Buffer.alloc(600, 1)]), ["l"], [{ name: "l", content: Buffer.alloc(600, 1) }]),
        "unpack layer",
      ],
      "a config that is not what its name says": [
        rawTar(
          { name: `${"0".repeat(64)}.json`, content: JSON.stringify(imageDocument([])) },
          { name: "manifest.json", content: JSON.stringify([{ Config: `${"0".repeat(64)}.json`, Layers: [] }]) },
        ),
        "should have the digest",
      ],
      "a bad name in RepoTags": [
        rawTar(
          { name: "c", content: JSON.stringify(imageDocument([])) },
          { name: "manifest.json", content: JSON.stringify([{ Config: "c", RepoTags: ["Bad Name"], Layers: [] }]) },
        ),
        "invalid reference format",
      ],
      "a blob that is not its digest": [tarOfFiles(new Map(layout).set(layer, wrong)), "should have the digest"],
      "a layout without a blob": [
        tarOfFiles(new Map([...layout].filter(([name]) => name !== layer))),
        "is not in the archive",
      ],
      "a layout without oci-layout": [
        tarOfFiles(new Map([...layout].filter(([name]) => name !== "oci-layout"))),
        "not an OCI",
      ],
      "a digest that is a path": [
        tarOfFiles(
          new Map(layout).set(
            "index.json",
            Buffer.from(`{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","size":1}]}`),
          ),
        ),
        "is not a sha256 digest",
      ],
      "a manifest for another platform only": [
        (() => {
          const files = new Map(layout);
          const index = Buffer.from(
            JSON.stringify({
              schemaVersion: 2,
              manifests: [
                {
                  mediaType: "application/vnd.oci.image.manifest.v1+json",
                  digest: `sha256:${"0".repeat(64)}`,
                  size: 1,
                  platform: { os: "plan9", architecture: "vax" },
                },
              ],
            }),
          );
          files.set(`blobs/sha256/${sha256(index)}`, index);
          files.set(
            "index.json",
            Buffer.from(
              JSON.stringify({
                schemaVersion: 2,
                manifests: [
                  {
                    mediaType: "application/vnd.oci.image.index.v1+json",
                    digest: `sha256:${sha256(index)}`,
                    size: index.length,
                  },
                ],
              }),
            ),
          );
          return tarOfFiles(files);
        })(),
        "no image for linux/",
        "not-found",
      ],
      "a good image before a bad one": [
        rawTar(
          { name: "c", content: JSON.stringify(imageDocument([other])) },
          { name: "l", content: other },
          {
            name: "manifest.json",
            content: JSON.stringify([
              { Config: "c", RepoTags: ["ok:1"], Layers: ["l"] },
              { Config: "missing", Layers: [] },
            ]),
          },
        ),
        '"missing", which is not in the archive',
      ],
    };
  }

  test("say what is wrong and leave nothing behind", async () => {
    await store.load(pieces(dockerArchive({ layers: [good], tags: ["good:1"] })));
    const before = storeSnapshot(storePath);
    for (const [name, [archive, message, code = "invalid"]] of Object.entries(cases())) {
      const error = await failureOf(() => store.load(pieces(archive)), name);
      expect([name, error.code, error.message]).toEqual([name, code, expect.stringContaining(message)]);
      expect([name, storeSnapshot(storePath)]).toEqual([name, before]);
    }
    expect(store.list().map((image) => image.repoTags)).toEqual([["good:1"]]);
    expect(readdirSync(join(storePath, "ingest"))).toEqual([]);
  });

  test("a source that fails while it is read leaves nothing behind and reports its error", async () => {
    const before = storeSnapshot(storePath);
    const archive = dockerArchive({ layers: [good] });
    async function* broken() {
      yield archive.subarray(0, 700);
      throw new Error("connection reset");
    }
    expect((await failureOf(() => store.load(broken()))).message).toContain("connection reset");
    expect(storeSnapshot(storePath)).toEqual(before);
  });

  test("a disk that fills up at any point of a load is ENOSPC, and leaves nothing behind", async () => {
    const path = join(temp, "full");
    mkdirSync(path);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
    try {
      await using small = await ImageStore.open(join(path, "store"));
      await small.load(pieces(dockerArchive({ layers: [good], tags: ["good:1"] })));
      const before = storeSnapshot(join(path, "store"));
      const layers = [good, rawTar({ name: "more", content: Buffer.alloc(10_000, 1) })];
      const archive = dockerArchive({ layers, tags: ["bad:1"] });
      const filler = join(path, "filler");
      let failureCount = 0;
      let isLoaded = false;
      for (let freePages = 0; !isLoaded; freePages++) {
        await small.trash.emptied(); // or there is room in the middle of it
        const { bavail, bsize } = statfsSync(path);
        writeFileSync(filler, Buffer.alloc((bavail - freePages) * bsize));
        const result = await small.load(pieces(archive)).catch((error: unknown) => error);
        rmSync(filler);
        isLoaded = Array.isArray(result);
        if (isLoaded) break;
        failureCount++;
        expect(result).toMatchObject({ code: "kernel", detail: { errno: "ENOSPC" } });
        expect((result as Error).message).toMatch(/ "?\/?\S+"?.*: (ENOSPC.*)?no space left on device/);
        expect(storeSnapshot(join(path, "store"))).toEqual(before);
        expect(small.list().map((image) => image.repoTags)).toEqual([["good:1"]]);
      }
      expect(failureCount).toBeGreaterThan(8);
      expect(small.get("bad:1").repoTags).toEqual(["bad:1"]);
    } finally {
      execFileSync("umount", [path]);
    }
  });
});

describe("the store", () => {
  const layer = (content: string): Buffer => rawTar({ name: content, content });

  test("survives being closed and opened again, with names, ids and layers", async () => {
    await store.load(
      pieces(dockerArchive({ layers: [layer("a"), layer("b")], tags: ["app:1", "app:2"] }, { layers: [layer("a")] })),
    );
    const before = store.list();
    await store[Symbol.asyncDispose]();
    store = await ImageStore.open(storePath);
    expect(store.damaged).toEqual([]);
    expect(store.list()).toEqual(before);
    expect(before.map((image) => image.repoTags).sort()).toEqual([[], ["app:1", "app:2"]]);
  });

  test("is opened by one process at a time", async () => {
    const error = await failureOf(() => ImageStore.open(storePath));
    expect([error.code, error.message]).toEqual(["conflict", expect.stringContaining("in use by another process")]);
  });

  test("unpacks a layer once, whoever loads it, and at the same time too", async () => {
    const shared = layer("shared");
    await Promise.all([
      store.load(pieces(dockerArchive({ layers: [shared], tags: ["a:1"] }))),
      store.load(pieces(dockerArchive({ layers: [shared, layer("x")], tags: ["b:1"] }))),
      store.load(pieces(dockerArchive({ layers: [shared], tags: ["c:1"] }))),
    ]);
    expect(readdirSync(join(storePath, "l")).length).toBe(3); // the empty one, shared and x
    expect(store.layersOf("a:1").lowerDirs[0]).toBe(store.layersOf("b:1").lowerDirs[1]!);
    expect(store.get("a:1").repoTags).toEqual(["a:1", "c:1"]);
  });

  test("a name that another archive brings moves to the new image, and the old one stays without a name", async () => {
    await store.load(pieces(dockerArchive({ layers: [layer("old")], tags: ["app"] })));
    const old = store.get("app").id;
    await store.load(pieces(dockerArchive({ layers: [layer("new")], tags: ["app"] })));
    expect(store.get("app").id).not.toBe(old);
    expect(store.get(old).repoTags).toEqual([]);
  });

  test("keeps the config document verbatim, unknown fields included", async () => {
    const document = JSON.stringify(
      { ...imageDocument([]), future: { nested: [1, 2, 3] }, "x-vendor": null },
      undefined,
      3,
    );
    const manifest = [{ Config: "c.json", RepoTags: ["f:1"], Layers: [] }];
    await store.load(
      pieces(
        rawTar({ name: "c.json", content: document }, { name: "manifest.json", content: JSON.stringify(manifest) }),
      ),
    );
    const image = store.get("f:1");
    expect(image.id as string).toBe(`sha256:${sha256(document)}`);
    expect(await store.readDocument(image.id)).toBe(document);
  });

  test("looks images up by name, id and beginning of an id, as Docker does", async () => {
    await store.load(pieces(dockerArchive({ layers: [layer("a")], tags: ["app", "reg.io:5000/x/app:2"] })));
    const { id } = store.get("app");
    for (const name of [
      "app:latest",
      "docker.io/library/app",
      "reg.io:5000/x/app:2",
      id,
      id.slice(7),
      id.slice(7, 19),
      id.slice(0, 12),
    ])
      expect(store.get(name).id).toBe(id);
    const messageOf = (name: string): string => {
      try {
        store.get(name);
      } catch (error) {
        return (error as Error).message;
      }
      return "found";
    };
    expect(messageOf("nope")).toBe("No such image: nope:latest");
    expect(messageOf("app:2")).toBe("No such image: app:2");
    expect(messageOf(`sha256:${"0".repeat(64)}`)).toBe(`No such image: sha256:${"0".repeat(64)}`);
    expect(messageOf("A")).toContain("must be lowercase");
    const many = Array.from({ length: 20 }, (_, i) => ({ layers: [], config: { Env: [`N=${i}`] } }));
    await store.load(pieces(dockerArchive(...many)));
    const digits = store.list().map((image) => image.id.slice(7, 8));
    const twice = digits.find((digit, index) => digits.indexOf(digit) !== index && store.list().length > 0)!;
    expect(messageOf(twice)).toBe(`No such image: ${twice}:latest`);
  });

  test("removes by name and id with Docker's records, and drops layers no image has", async () => {
    const [shared, own] = [layer("shared"), layer("own")];
    await store.load(
      pieces(dockerArchive({ layers: [shared, own], tags: ["app:1", "app:2"] }, { layers: [shared], tags: ["base"] })),
    );
    const { id, chainIds } = store.get("app:1");
    const options = { force: false, users: [] };
    expect(await store.remove("app:1", options)).toEqual([{ Untagged: "app:1" }]);
    expect(await store.remove("app:2", options)).toEqual([
      { Untagged: "app:2" },
      { Deleted: id },
      { Deleted: chainIds[1]! as string },
    ]);
    expect(readdirSync(join(storePath, "l")).length).toBe(2);
    const base = store.get("base");
    expect(await store.remove(base.id.slice(7, 19), options)).toEqual([
      { Untagged: "base:latest" },
      { Deleted: base.id },
      { Deleted: base.chainIds[0]! as string },
    ]);
    expect(readdirSync(join(storePath, "l"))).toEqual(["0"]);
    expect(readdirSync(join(storePath, "blobs/sha256"))).toEqual([]);
    expect((await failureOf(() => store.remove("base", options))).code).toBe("not-found");
  });

  test("refuses to remove what containers use or several repositories name, in Docker's words", async () => {
    await store.load(pieces(dockerArchive({ layers: [layer("a")], tags: ["app", "other"] })));
    const { id } = store.get("app");
    const short = id.slice(7, 19);
    const user = (isRunning: boolean) => [{ containerId: "c".repeat(64), imageId: id, isRunning }];
    const message = async (name: string, force: boolean, users: ReturnType<typeof user> = []): Promise<string> =>
      (await failureOf(() => store.remove(name, { force, users }))).message;
    expect(await message(id, false)).toBe(
      `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
    );
    await store.remove("other", { force: false, users: user(true) });
    expect(await message("app", false, user(false))).toBe(
      `conflict: unable to remove repository reference "app" (must force) - container cccccccccccc is using its referenced image ${short}`,
    );
    expect(await message(id, true, user(true))).toBe(
      `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc`,
    );
    expect(await message(id, false, user(false))).toBe(
      `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container cccccccccccc`,
    );
    expect(await store.remove("app", { force: true, users: user(false) })).toEqual([{ Untagged: "app:latest" }]);
    expect(store.layersOf(id).lowerDirs.length).toBe(1);
    expect(await store.prune(user(false))).toEqual([]);
    expect((await store.prune([])).length).toBe(2);
    expect(store.list()).toEqual([]);
  });

  test("installs hello once, replaces its own older one, and leaves a user's image of that name alone", async () => {
    await installHello(store, Buffer.from("binary 1"));
    const first = store.get("hello");
    expect(first.document.config.Cmd).toEqual(["/hello"]);
    const [directory] = store.layersOf("hello").lowerDirs;
    expect(statSync(join(directory!, "hello")).mode & 0o7777).toBe(0o755);
    const before = storeSnapshot(storePath);
    await installHello(store, Buffer.from("binary 1"));
    expect(storeSnapshot(storePath)).toEqual(before);
    await installHello(store, Buffer.from("binary 2"));
    expect(store.get("hello").id).not.toBe(first.id);
    await store.load(pieces(dockerArchive({ layers: [], tags: ["hello"] })));
    const users = store.get("hello").id;
    await installHello(store, Buffer.from("binary 2"));
    expect(store.get("hello").id).toBe(users);
  });

  test("killed at any moment of a load, opens again with all of the image or nothing, and no rubbish", async () => {
    await store.load(pieces(dockerArchive({ layers: [layer("kept")], tags: ["kept"] })));
    await store[Symbol.asyncDispose]();
    const archivePath = join(temp, "archive.tar");
    const layers = Array.from({ length: 4 }, (_, i) => rawTar({ name: `f${i}`, content: Buffer.alloc(2_000_000, i) }));
    writeFileSync(archivePath, dockerArchive({ layers, tags: ["new"] }));
    const script = join(temp, "load.ts");
    const mod = join(import.meta.dirname, "../../src/image/mod.ts");
    writeFileSync(
      script,
      `import { ImageStore } from ${JSON.stringify(mod)};
const store = await ImageStore.open(${JSON.stringify(storePath)});
console.log("open");
await store.load({ path: ${JSON.stringify(archivePath)} });
console.log("loaded");`,
    );
    const outcomes = new Set<boolean>();
    for (let delayMs = 0; delayMs <= 150; delayMs += 15) {
      const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      await Promise.race([new Promise((done) => setTimeout(done, delayMs)), once(child, "exit")]);
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      store = await ImageStore.open(storePath);
      expect(store.damaged).toEqual([]);
      const names = store
        .list()
        .flatMap((image) => image.repoTags)
        .sort();
      const isLoaded = names.includes("new:latest");
      outcomes.add(isLoaded);
      expect(names).toEqual(isLoaded ? ["kept:latest", "new:latest"] : ["kept:latest"]);
      expect(readdirSync(join(storePath, "ingest"))).toEqual([]);
      expect(readdirSync(join(storePath, "l")).length).toBe(isLoaded ? 6 : 2);
      expect(readdirSync(join(storePath, "blobs/sha256")).length).toBe(isLoaded ? 9 : 3);
      if (isLoaded) {
        const sizes = store.layersOf("new").lowerDirs.map((path, i) => statSync(join(path, `f${3 - i}`)).size);
        expect(sizes).toEqual([2_000_000, 2_000_000, 2_000_000, 2_000_000]);
        await store.remove("new", { force: false, users: [] });
      }
      await store[Symbol.asyncDispose]();
    }
    expect(outcomes.has(false)).toBe(true);
    store = await ImageStore.open(storePath);
  }, 60_000);

  test("an image whose blob is damaged or gone is reported and left out, and the others stay", async () => {
    await store.load(
      pieces(dockerArchive({ layers: [layer("a")], tags: ["a"] }, { layers: [layer("b")], tags: ["b"] })),
    );
    const config = store.get("b").id.slice(7);
    await store[Symbol.asyncDispose]();
    const fileCount = storeSnapshot(storePath).length;
    writeFileSync(join(storePath, "blobs/sha256", config), "{}");
    store = await ImageStore.open(storePath);
    expect(store.damaged).toEqual([expect.stringContaining(`blob sha256:${config} is damaged`)]);
    expect(store.list().map((image) => image.repoTags)).toEqual([["a:latest"]]);
    expect(storeSnapshot(storePath).length).toBe(fileCount);
  });
});

describe("files in layers", () => {
  test("are found as the mounted overlay shows them, symlinks staying inside", async () => {
    const secret = join(temp, "secret");
    writeFileSync(secret, "host secret");
    const base = rawTar(
      { name: "etc/", type: "5" },
      { name: "etc/passwd", content: "below" },
      { name: "etc/gone", content: "below" },
      { name: "opaque/", type: "5" },
      { name: "opaque/old", content: "below" },
      { name: "file-now/", type: "5" },
      { name: "file-now/x", content: "below" },
      { name: "link-target", content: "target" },
    );
    const top = rawTar(
      { name: "etc/", type: "5" },
      { name: "etc/.wh.gone" },
      { name: "opaque/", type: "5" },
      { name: "opaque/.wh..wh..opq" },
      { name: "file-now", content: "file" },
      { name: "absolute", type: "2", linkName: "/link-target" },
      { name: "climbing", type: "2", linkName: `${"../".repeat(10)}link-target` },
      { name: "etc-link", type: "2", linkName: "/etc" },
      { name: "host", type: "2", linkName: secret },
      { name: "magic", type: "2", linkName: `/proc/self/root${secret}` },
      { name: "loop", type: "2", linkName: "loop" },
      { name: "fifo", type: "6" },
      { name: "device", type: "3", devMajor: 1, devMinor: 5 },
    );
    const directories = await loadLayers([base, top]);
    const read = (path: string): string | undefined => readFileInLayers(directories, path, 1000)?.toString();
    expect(read("/etc/passwd")).toBe("below");
    expect(read("etc/gone")).toBeUndefined();
    expect(read("/opaque/old")).toBeUndefined();
    expect(read("/file-now/x")).toBeUndefined();
    expect(read("/file-now")).toBe("file");
    expect(read("/absolute")).toBe("target");
    expect(read("/climbing")).toBe("target");
    expect(read("/etc-link/passwd")).toBe("below");
    expect(read("/etc-link/../absolute")).toBe("target");
    for (const path of ["/host", "/magic", "/fifo", "/device", "/etc", "/", "/nope/x"])
      expect(read(path)).toBeUndefined();
    expect(() => read("/loop")).toThrow("too many levels of symbolic links");
    expect(() => readFileInLayers(directories, "/link-target", 5)).toThrow("above the limit of 5");
    withMounted(store.list()[0]!.id, (root) => {
      for (const path of ["etc/passwd", "etc/gone", "opaque/old", "file-now/x", "file-now", "link-target"])
        expect(existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined).toBe(read(path));
    });
  });
});
