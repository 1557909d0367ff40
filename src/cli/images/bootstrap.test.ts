import { expect, test } from "bun:test";
import {
  type BootstrapRequest,
  bootstrapPlatform,
  checkBootstrapRequest,
  describeMissingKeyring,
  parseBootstrapSource,
  planBootstrap,
} from "./bootstrap.ts";

const plain: BootstrapRequest = {
  suite: "trixie",
  variant: "minbase",
  include: "",
  mirror: "",
  components: "",
  arch: "",
};
const full: BootstrapRequest = {
  suite: "noble",
  variant: "buildd",
  include: "ca-certificates,g++,libc6:arm64",
  mirror: "https://mirror.example/debian",
  components: "main,non-free/debug",
  arch: "arm64",
};

test("a source is a distribution and a suite", () => {
  expect(parseBootstrapSource("debian:trixie")).toBe("trixie");
  for (const source of ["trixie", "fedora:40", "debian:", "debian:a:b", ""]) {
    const check = () => checkBootstrapRequest({ ...plain, suite: parseBootstrapSource(source) });
    expect(check).toThrow("bootstrap");
  }
});

test("only what cannot be taken for something else reaches a child's arguments", () => {
  checkBootstrapRequest(plain);
  checkBootstrapRequest(full);
  const bad: [keyof BootstrapRequest, string[]][] = [
    ["suite", ["", "-x", "a/b", "../x", "a b", "a\0", "A", "a\nb"]],
    ["variant", ["", "-", "a,b", "a=b"]],
    ["include", ["-x", "a,,b", "a,", ",a", "a b", "?essential", "./x.deb", "$(x)", "a\n"]],
    ["mirror", ["-", "/etc/passwd", "deb http://x y", "http:", "http://a b", "http://a'b"]],
    ["components", ["-x", "a,", "a b", "../x"]],
    ["arch", ["-x", "a b", "arm64,", "a/b"]],
  ];
  for (const [field, values] of bad)
    for (const value of values)
      expect(() => checkBootstrapRequest({ ...full, [field]: value })).toThrow(
        `bootstrap: ${field} ${JSON.stringify(value)} is not valid`,
      );
});

test("mmdebstrap writes the archive itself; without flags its own defaults stay", () => {
  expect(planBootstrap("mmdebstrap", plain, "/t")).toEqual([
    ["mmdebstrap", "--variant=minbase", "--skip=output/dev", "--format=tar", "trixie", "-"],
  ]);
  expect(planBootstrap("mmdebstrap", full, "/t")[0]?.slice(1)).toEqual([
    "--variant=buildd",
    "--include=ca-certificates,g++,libc6:arm64",
    "--components=main,non-free/debug",
    "--architectures=arm64",
    "--skip=output/dev",
    "--format=tar",
    "noble",
    "-",
    "https://mirror.example/debian",
  ]);
});

test("debootstrap fills a directory, which tar packs", () => {
  const [fill, pack] = planBootstrap("debootstrap", full, "/t");
  expect(fill?.slice(-3)).toEqual(["noble", "/t/root", "https://mirror.example/debian"]);
  expect(fill).toContain("--arch=arm64");
  expect(pack?.slice(-5)).toEqual(["-C", "/t/root", "-cf", "-", "."]);
});

test("the image's platform follows the architecture", () => {
  expect(["", "amd64", "armhf", "ppc64el"].map(bootstrapPlatform)).toEqual([
    "",
    "linux/amd64",
    "linux/arm/v7",
    "linux/ppc64le",
  ]);
});

test("describeMissingKeyring names the package that has a distribution's keys, where none of its files is there", () => {
  expect(describeMissingKeyring("ubuntu:noble", () => false)).toBe(
    "the keys of ubuntu's archive are not on this host (/usr/share/keyrings/ubuntu-archive-keyring.gpg): apt-get install ubuntu-keyring",
  );
  expect(
    describeMissingKeyring("ubuntu:noble", (path) => path.endsWith("/ubuntu-archive-keyring.gpg")),
  ).toBeUndefined();
  expect(describeMissingKeyring("debian:trixie", () => false)).toContain("apt-get install debian-archive-keyring");
  expect(describeMissingKeyring("debian:trixie", (path) => path.endsWith(".pgp"))).toBeUndefined();
});
