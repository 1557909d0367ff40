import { expect, test } from "bun:test";
import { encodeTar } from "../../image/tar/tar-writer.ts";
import { inspectArchive, readLxcConfig, readMetadata } from "./machine-image.ts";

const METADATA = "architecture: x86_64\ncreation_date: 1700000000\n";

/** An archive in small pieces. */
async function* archiveOf(...names: string[]): AsyncGenerator<Uint8Array> {
  const files = names.map((path) => ({
    path,
    mode: 0o755,
    content: path.endsWith("/") ? undefined : Buffer.from(METADATA),
  }));
  const bytes = encodeTar(
    files.map(({ content, ...file }) => (content === undefined ? file : { ...file, content })),
    0,
  );
  for (let at = 0; at < bytes.length; at += 300) yield bytes.subarray(at, at + 300);
}

test.each([
  [
    "a unified image",
    ["metadata.yaml", "templates/", "templates/hosts.tpl", "rootfs/", "rootfs/etc/"],
    "rootfs/",
    true,
  ],
  ["one whose metadata comes last", ["./", "./rootfs/", "./rootfs/etc/passwd", "./metadata.yaml"], "rootfs/", true],
  [
    "a backup of Incus",
    ["backup/index.yaml", "backup/container/metadata.yaml", "backup/container/rootfs/", "backup/container/rootfs/a"],
    "backup/container/rootfs/",
    true,
  ],
  ["the metadata of a split image", ["metadata.yaml", "templates/", "templates/x"], undefined, true],
  ["the metadata of an image of LXC", ["config", "create-message", "templates"], undefined, false],
  ["a root file system", ["./", "./bin/", "./bin/metadata.yaml"], "", false],
  ["a root file system that has a rootfs", ["etc/", "rootfs/", "rootfs/x", "metadata.yaml"], "", false],
  ["an archive without a root", [], undefined, false],
] as const)("inspectArchive knows %s", async (_, names, rootPath, hasMetadata) => {
  expect(await inspectArchive(archiveOf(...names))).toEqual({
    rootPath,
    metadata: hasMetadata ? METADATA : undefined,
  });
});

test("inspectArchive reads no further than it must", async () => {
  let left = 0;
  async function* counted() {
    for await (const chunk of archiveOf("metadata.yaml", "rootfs/etc/", ...Array(100).fill("rootfs/x"))) {
      left++;
      yield chunk;
    }
  }
  await inspectArchive(counted());
  expect(left).toBeLessThan(10);
});

test("inspectArchive refuses what is no archive, and metadata without end", async () => {
  const refused = (bytes: Uint8Array) => expect(inspectArchive([bytes] as never)).rejects.toThrow();
  await refused(new Uint8Array(2048).fill(7));
  await refused(encodeTar([{ path: "metadata.yaml", mode: 0, content: new Uint8Array(2 ** 20 + 1) }], 0));
});

test("readMetadata makes a platform, a command and labels", () => {
  const text = `${METADATA}properties:\n  os: Debian\n  release: 12\n  description: 'a "b" \\c $d'\n  Bad Name: x\n  list: [1]\n  empty: ""\n`;
  expect(readMetadata(text)).toEqual({
    platform: "linux/amd64",
    changes: [
      'CMD ["/sbin/init"]',
      'LABEL io.lighter.machine.image.os="Debian"',
      'LABEL io.lighter.machine.image.release="12"',
      'LABEL io.lighter.machine.image.description="a \\"b\\" \\\\c \\$d"',
      'LABEL org.opencontainers.image.description="a \\"b\\" \\\\c \\$d"',
      'LABEL org.opencontainers.image.created="2023-11-14T22:13:20Z"',
    ],
  });
});

test("metadata cannot add instructions", () => {
  const properties = JSON.stringify({
    'os="x"\nUSER': "y",
    os: "x\nUSER y",
    release: "\0",
    "a b": "c",
    long: "x".repeat(9999),
  });
  expect(readMetadata(`{"properties": ${properties}, "architecture": "x/../y", "creation_date": "now"}`)).toEqual({
    platform: "",
    changes: ['CMD ["/sbin/init"]'],
  });
});

test.each(["", "- a", "a: [", "7", `a: &a [1,1]\n${"b: *a\n".repeat(3)}c: [`, "[".repeat(100_000)])(
  "readMetadata refuses %.20p",
  (text) => {
    expect(() => readMetadata(text)).toThrow("metadata.yaml is");
  },
);

test.each([
  ["x86_64", "linux/amd64"],
  ["i686", "linux/386"],
  ["armv7l", "linux/arm/v7"],
  ["aarch64", "linux/arm64"],
  ["riscv64", "linux/riscv64"],
])("the platform of %s is %s", (architecture, platform) => {
  expect(readLxcConfig(`lxc.net.0.type = veth\nlxc.arch = ${architecture}\n`).platform).toBe(platform);
});
