import { expect, test } from "bun:test";
import { HYBRID_HOST } from "../../../tests/golden/config/host.ts";
import { contextFor } from "../../../tests/golden/config/run-case.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { mergeTmpfsOptions, planMountPoints } from "./mounts.ts";

function plan(hostConfig: DockerHostConfig, config: DockerContainerConfig = {}) {
  return planMountPoints(config, hostConfig, contextFor()).mountPoints;
}

test("a bind's missing source is made by the engine, one of Mounts only if asked for", () => {
  expect(plan({ Binds: ["/nope:/a"] })).toMatchObject([{ type: "bind", source: "/nope", createSource: true }]);
  expect(plan({ Mounts: [{ Type: "bind", Source: "/srv", Target: "/a" }] })).toMatchObject([{ createSource: false }]);
  const mount = { Type: "bind", Source: "/nope", Target: "/a", BindOptions: { CreateMountpoint: true } };
  expect(plan({ Mounts: [mount] })).toMatchObject([{ createSource: true }]);
});

test("a bind around or in the daemon's state is a slave, and may be nothing else that keeps what is mounted there", () => {
  const automatic = { propagation: "rslave", mayBePrivate: true };
  for (const source of ["/", "/var", "/var/lib/lighter", "/var/lib/lighter/volumes/a"]) {
    expect(plan({ Binds: [`${source}:/a`] })).toMatchObject([automatic]);
    expect(() => plan({ Binds: [`${source}:/a:rprivate`] })).toThrow(
      `must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: ` +
        `"/var/lib/lighter", bind mount source: "${source}", propagation: "rprivate"`,
    );
    expect(plan({ Binds: [`${source}:/a:rshared`] })[0]?.mayBePrivate).toBeUndefined();
  }
  for (const source of ["/va", "/var/lib/lighter2", "/srv"])
    expect(plan({ Binds: [`${source}:/a`] })).toMatchObject([{ propagation: "" }]);
});

test("clients of older APIs mean read-only binds without what is mounted below their source", () => {
  const hostConfig = {
    Binds: ["/srv:/a:ro", "/srv:/b"],
    Mounts: [{ Type: "bind", Source: "/srv", Target: "/c", ReadOnly: true }],
  };
  const shallow = (shallowReadOnly: boolean) =>
    planMountPoints({}, hostConfig, { ...contextFor(), shallowReadOnly }).mountPoints.map(
      (point) => point.shallowReadOnly,
    );
  expect(shallow(true)).toEqual([true, false, true]);
  expect(shallow(false)).toEqual([false, false, false]);
});

test("paths of binds are cleaned", () => {
  expect(plan({ Binds: ["/srv/../mnt//:/a/../b/"] })).toMatchObject([{ source: "/mnt", destination: "/b" }]);
});

test("a name instead of a path is a volume, whose files come from the image unless nocopy is given", () => {
  expect(plan({ Binds: ["data:/a", "more:/b:ro,nocopy"] })).toMatchObject([
    {
      type: "volume",
      destination: "/a",
      readOnly: false,
      source: "/volumes/data/_data",
      volume: { name: "data", anonymous: false, copyUp: true },
    },
    { destination: "/b", readOnly: true, mode: "ro,nocopy", volume: { name: "more", copyUp: false } },
  ]);
});

test("a volume of the image is made anew, unless something else is mounted there", () => {
  const image = { Volumes: { "/a": {}, "/b/": {} } };
  expect(plan({ Binds: ["/srv:/b"] }, image)).toMatchObject([
    { type: "volume", destination: "/a", volume: { name: "anonymous", anonymous: true, copyUp: true } },
    { type: "bind", destination: "/b" },
  ]);
});

test("a volume of the image cannot name a path outside of the container (CVE-2022-23648)", () => {
  expect(plan({}, { Volumes: { "/../../etc": {} } })).toMatchObject([{ type: "volume", destination: "/etc" }]);
  expect(plan({}, { Volumes: { "../../x": {} } })).toMatchObject([{ destination: "/x" }]);
});

test("volume names cannot leave the directory of the volumes", () => {
  for (const name of ["..", "../x", "./b", "a/b", ".hidden", "a\nb", "ü1", "x".repeat(256)])
    expect(() => plan({ Mounts: [{ Type: "volume", Source: name, Target: "/a" }] })).toThrow(`create ${name}: `);
});

test("mount points are sorted by depth, then by name", () => {
  const destinations = plan({ Binds: ["/srv:/z", "/srv:/a/b/c", "/srv:/a/b", "/srv:/a"], Tmpfs: { "/b": "" } });
  expect(destinations.map((point) => point.destination)).toEqual(["/a", "/b", "/z", "/a/b", "/a/b/c"]);
});

test("SELinux labels are a warning where there is SELinux, and nothing elsewhere", () => {
  const hostConfig = { Binds: ["/srv:/a:Z"] };
  expect(planMountPoints({}, hostConfig, contextFor()).warnings).toEqual([]);
  expect(planMountPoints({}, hostConfig, contextFor({ ...HYBRID_HOST, seLinux: true })).warnings).toEqual([
    'bind "/srv:/a:Z": SELinux labels (z, Z) are not available yet: the files keep theirs',
  ]);
});

const TMPFS: [string, string[]][] = [
  ["", ["noexec", "nosuid", "nodev", "rprivate"]],
  ["exec", ["nosuid", "nodev", "rprivate", "exec"]],
  ["rw,ro,size=1,size=2", ["noexec", "nosuid", "nodev", "rprivate", "ro", "size=2"]],
  ["defaults,suid,dev", ["noexec", "rprivate", "suid", "dev"]],
  ["uid=0,mpol=interleave:0-1", ["noexec", "nosuid", "nodev", "rprivate", "uid=0", "mpol=interleave:0-1"]],
  ["rshared", ["noexec", "nosuid", "nodev", "rshared"]],
];
for (const [given, expected] of TMPFS)
  test(`tmpfs options "${given}" stand over Docker's, the last of a kind counts`, () => {
    expect(mergeTmpfsOptions(given === "" ? [] : given.split(","))).toEqual(expected);
  });

test("a tmpfs takes no options that would make it something else", () => {
  for (const option of ["bind", "rbind", "remount", "size", "size=1=2", "huge=always", "", "upperdir=/x"])
    expect(() => mergeTmpfsOptions([option])).toThrow("invalid tmpfs option");
});
