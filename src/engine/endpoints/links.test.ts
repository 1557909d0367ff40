import { expect, test } from "bun:test";
import { containerInMemory } from "../../../tests/support/container-record.ts";
import type { Container } from "../container.ts";
import { newRecord } from "../state/new-record.ts";
import type { ContainerRecord } from "../state/record.ts";
import { linkHosts, linkNames, linksIn, linksOf, linkVariables, requireLinks, withoutLink } from "./links.ts";

function container(name: string, given: Partial<ContainerRecord> = {}): Container {
  const plan = { config: {}, hostConfig: {}, image: "", imageId: "", mountPoints: [], endpoints: [], inScope: false };
  return containerInMemory({ ...newRecord(plan, `id-${name}`, name), ...given });
}

const state = {
  ...{ endpointId: "e", interfaceName: "eth0", hostInterface: "", macAddress: "" },
  ipv4: { address: "172.17.0.2", prefixLength: 16 },
};
const db = container("db", {
  status: "running",
  config: {
    Hostname: "0123456789ab",
    ExposedPorts: { "80/tcp": {}, "70-72/tcp": {}, "70/udp": {} },
    Env: ["PATH=/bin", "HOME=/x", "A=b=c", "UNSET"],
  },
  networking: { endpoints: [{ networkId: "n", networkName: "bridge", wish: {}, state }], ports: [] },
});
const web = container("web", { hostConfig: { NetworkMode: "bridge", Links: ["id-db:my-db", "id-gone:x"] } });
const find = (ref: string) => (ref === "id-db" ? db : undefined);

test("a link is lines of /etc/hosts: the alias, the other's host name and name", () => {
  expect(linkHosts(linksOf(web.record, find))).toEqual([["172.17.0.2", "my-db 0123456789ab db"]]);
});

test("a link opens what the other exposes, to one address, while both have one", () => {
  const address = { address: "172.17.0.3", prefixLength: 16 };
  const endpoint = { networkId: "n", networkName: "bridge", wish: {}, state: { ...state, ipv4: address } };
  const running = container("web", { ...web.record, networking: { endpoints: [endpoint], ports: [] } });
  const link = (port: number, protocol: string) => ({
    ...{ bridge: "br0", from: "172.17.0.3", to: "172.17.0.2", port, protocol },
  });
  expect(linksIn("br0", [db, running], find)).toEqual([
    ...[link(70, "tcp"), link(70, "udp"), link(71, "tcp"), link(72, "tcp"), link(80, "tcp")],
  ] as ReturnType<typeof linksIn>);
  expect(linksIn("br0", [db, web], find)).toEqual([]);
  expect(linksIn("br0", [running], () => container("db"))).toEqual([]);
});

test("a link is environment variables, as Docker 26 makes them", () => {
  const variables = linkVariables("web", linksOf(web.record, find));
  const port = (number: number, protocol: string) => {
    const name = `MY_DB_PORT_${number}_${protocol.toUpperCase()}`;
    return [
      `${name}=${protocol}://172.17.0.2:${number}`,
      ...[`${name}_ADDR=172.17.0.2`, `${name}_PORT=${number}`, `${name}_PROTO=${protocol}`],
    ];
  };
  expect(variables).toEqual([
    "MY_DB_PORT=tcp://172.17.0.2:70",
    "MY_DB_PORT_70_TCP_START=tcp://172.17.0.2:70",
    "MY_DB_PORT_70_TCP_ADDR=172.17.0.2",
    "MY_DB_PORT_70_TCP_PROTO=tcp",
    "MY_DB_PORT_70_TCP_PORT_START=70",
    "MY_DB_PORT_70_TCP_END=tcp://172.17.0.2:72",
    "MY_DB_PORT_70_TCP_PORT_END=72",
    ...[port(70, "tcp"), port(70, "udp"), port(71, "tcp"), port(72, "tcp"), port(80, "tcp")].flat(),
    "MY_DB_NAME=/web/my-db",
    "MY_DB_ENV_A=b=c",
  ]);
});

test("links are of the default network only, and lead to what runs", () => {
  expect(linksOf({ ...web.record, hostConfig: { ...web.record.hostConfig, NetworkMode: "front" } }, find)).toEqual([]);
  requireLinks(web.record, find);
  const stopped = container("db", { status: "exited" });
  expect(() => requireLinks(web.record, () => stopped)).toThrow(
    "Cannot link to a non running container: /db AS /web/my-db",
  );
});

test("a container has further names by the links to it", () => {
  expect(linkNames([web, db]).get(db.id)).toEqual(["web/my-db"]);
  expect(withoutLink(["a:x", "b:y"], "x")).toEqual(["b:y"]);
  expect(withoutLink(["a:x"], "z")).toBeUndefined();
});
