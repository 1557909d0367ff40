import { expect, test } from "bun:test";
import { containerInMemory } from "../../../tests/support/container-record.ts";
import type { Container } from "../../engine/container.ts";
import type { ContainerRecord } from "../../engine/state/record.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { ContainerSummaries } from "./container-summary.ts";

const IMAGE_ID = `sha256:${"1".repeat(64)}`;
const images: Record<string, string> = { "img:1": IMAGE_ID };
const daemon = {
  images: {
    get(name: string) {
      if (images[name] === undefined) throw new Error(`no image ${name}`);
      return { id: images[name] };
    },
  },
} as unknown as Daemon;

function container(name: string, more: Partial<ContainerRecord> = {}): Container {
  const record: Partial<ContainerRecord> = {
    id: name.padEnd(64, "0"),
    name,
    status: "created",
    createdAt: "2026-01-02T03:04:05Z",
    startedAt: "2026-01-02T03:04:05Z",
    image: "img:1",
    imageId: IMAGE_ID,
    config: { Cmd: ["/bin/sleep", "1 2"], ExposedPorts: { "80/tcp": {} } },
    hostConfig: { NetworkMode: "front", Annotations: { a: "b" } },
    mountPoints: [],
    networking: { endpoints: [{ networkId: "", networkName: "front", wish: {} }], ports: [] },
    ...more,
  };
  return containerInMemory(record as ContainerRecord);
}

const NEWEST = 51;

function shown(one: Container, all = [one], apiMinor = NEWEST): Record<string, unknown> {
  return JSON.parse(new ContainerSummaries(daemon, all, apiMinor).format(one));
}

test("a summary is the same as text and as an object, with what is added", () => {
  const web = container("web");
  const summaries = new ContainerSummaries(daemon, [web], NEWEST);
  expect(JSON.parse(summaries.format(web, { SizeRw: 1 }))).toEqual({ ...summaries.describe(web), SizeRw: 1 });
  expect(summaries.describe(web)).toMatchObject({
    Names: ["/web"],
    Image: "img:1",
    Command: "/bin/sleep '1 2'",
    Created: 1767323045,
    State: "created",
    Status: "Created",
    Ports: [],
    HostConfig: { NetworkMode: "front", Annotations: { a: "b" } },
  });
});

const state = {
  ...{ endpointId: "e", interfaceName: "eth0", hostInterface: "h", macAddress: "02:00:00:00:00:01" },
  ...{ ipv4: { address: "10.0.0.2", prefixLength: 24 }, gateway4: "10.0.0.1" },
};

const bind: ContainerRecord["mountPoints"][number] = {
  ...{ type: "bind", source: "/s", destination: "/d", readOnly: true, mode: "", propagation: "" },
  ...{ nonRecursive: false, shallowReadOnly: false, createSource: false },
};

test.each<[string, Partial<ContainerRecord>, object]>([
  ["name", { name: "other" }, { Names: ["/other"] }],
  ["config", { config: { Labels: { x: "y" } } }, { Labels: { x: "y" }, Command: "" }],
  ["hostConfig", { hostConfig: { NetworkMode: "back" } }, { HostConfig: { NetworkMode: "back" } }],
  [
    "mountPoints",
    { mountPoints: [bind] },
    { Mounts: [{ Source: "/s", Destination: "/d", RW: false, Propagation: "rprivate" }] },
  ],
  [
    "status and networking",
    {
      status: "running",
      networking: { endpoints: [{ networkId: "n", networkName: "front", wish: {}, state }], ports: [] },
    },
    {
      State: "running",
      Ports: [{ PrivatePort: 80, Type: "tcp" }],
      NetworkSettings: { Networks: { front: { IPAddress: "10.0.0.2" } } },
    },
  ],
  ["paused", { status: "running", paused: true }, { State: "paused" }],
])("a summary that was shown before follows a change of %s", (_what, change, expected) => {
  const web = container("web");
  shown(web);
  Object.assign(web.record, change);
  expect(shown(web)).toMatchObject(expected);
});

test("ports are shown in time proportional to their number", () => {
  const cpuOf = (count: number): number => {
    const ports = Array.from({ length: count }, (_, index) => ({
      ...{ protocol: "tcp" as const, hostAddress: "0.0.0.0", hostPort: index + 1 },
      ...{ address: "10.0.0.2", port: index + 1, bridge: "br" },
    }));
    const ExposedPorts = Object.fromEntries(ports.map(({ port }) => [`${port}/tcp`, {}]));
    const networking = { endpoints: [{ networkId: "n", networkName: "front", wish: {}, state }], ports };
    const one = container("web", { status: "running", config: { ExposedPorts }, networking });
    const before = process.cpuUsage();
    expect(shown(one).Ports).toHaveLength(count);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const few = Math.min(...[1, 2, 3, 4].map(() => cpuOf(2000)));
  const many = Math.min(...[1, 2].map(() => cpuOf(32_000)));
  expect(many / few).toBeLessThan(16 * 6); // comparing pairs would give 256
}, 60_000);

test("clients of each version of the API get what it has, in turns", () => {
  const web = container("web");
  const annotations = (apiMinor: number) =>
    Object.hasOwn(shown(web, [web], apiMinor).HostConfig as object, "Annotations");
  expect([51, 45, 51, 45].map(annotations)).toEqual([true, false, true, false]);
});

test("names are those that others' links give, too, and an image's name is shown as long as it means the image", () => {
  const db = container("db");
  const hostConfig = { NetworkMode: "bridge", Links: [`${db.id}:/web/my-db`] };
  const web = container("web", { hostConfig });
  expect(shown(db, [web, db]).Names).toEqual(["/db", "/web/my-db"]);
  expect(shown(db, [db]).Names).toEqual(["/db"]);
  images["img:1"] = `sha256:${"2".repeat(64)}`;
  expect(shown(db).Image).toBe(IMAGE_ID);
  delete images["img:1"];
  expect(shown(db).Image).toBe(IMAGE_ID);
});
