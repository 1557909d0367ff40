import { afterAll, beforeAll, expect } from "bun:test";
import { connect, createServer, type Server } from "node:net";
import { ApiServer } from "../support/api-server.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Parts of Docker's API that clients ask for whether or not there is anything: networks, plugins, swarm, versions. */

const rooted = testIf(isRoot, "needs root");
let server: ApiServer;

beforeAll(async () => {
  if (isRoot) server = await ApiServer.start();
});
afterAll(async () => {
  if (isRoot) await server[Symbol.asyncDispose]();
});

rooted(
  "networks: those that are always there, listed, filtered, inspected with who is in them, and not to be removed",
  async () => {
    const { json: list } = await server.request("GET", "/networks");
    expect(list.map(({ Name, Driver }: { Name: string; Driver: string }) => [Name, Driver])).toEqual([
      ["bridge", "bridge"],
      ["host", "host"],
      ["none", "null"],
    ]);
    const filtered = async (filters: object) =>
      (await server.request("GET", `/networks?filters=${encodeURIComponent(JSON.stringify(filters))}`)).json.map(
        ({ Name }: { Name: string }) => Name,
      );
    expect(await filtered({ driver: ["null"] })).toEqual(["none"]);
    expect(await filtered({ name: ["ho"] })).toEqual(["host"]);
    expect(await filtered({ type: ["custom"] })).toEqual([]);
    expect(await filtered({ scope: ["swarm"] })).toEqual([]);
    const id = await server.create({ HostConfig: { NetworkMode: "none" } }, "inside");
    await server.request("POST", `/containers/${id}/start`);
    expect(await filtered({ dangling: ["true"] })).toEqual([]);
    const { json: none } = await server.request("GET", `/networks/${list[2].Id.slice(0, 12)}`);
    expect(none).toMatchObject({
      Name: "none",
      Id: list[2].Id,
      EnableIPv4: true,
      Containers: { [id]: { Name: "inside" } },
    });
    expect((await server.request("GET", "/v1.47/networks/none")).json).not.toHaveProperty("EnableIPv4");
    expect(await server.request("DELETE", "/networks/none")).toMatchObject({
      status: 403,
      json: { message: "none is a pre-defined network and cannot be removed" },
    });
    expect(await server.request("GET", "/networks/x")).toMatchObject({
      status: 404,
      json: { message: "network x not found" },
    });
    expect((await server.request("POST", "/networks/prune")).json).toEqual({ NetworksDeleted: null });
  },
);

rooted("what there is nothing of: empty lists, or Docker's words", async () => {
  expect((await server.request("GET", "/plugins")).json).toEqual([]);
  expect(await server.request("GET", "/plugins/a/b:c/json")).toMatchObject({
    status: 404,
    json: { message: 'plugin "a/b:c" not found' },
  });
  for (const path of ["/swarm", "/nodes", "/nodes/x", "/services", "/tasks", "/secrets/x", "/configs"])
    expect(await server.request("GET", path)).toMatchObject({
      status: 503,
      json: {
        message:
          'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to ' +
          "swarm and try again.",
      },
    });
  for (const path of ["/swarm/init", "/plugins/pull"]) {
    const { status, json } = await server.request("POST", path);
    expect([path, status]).toEqual([path, 501]);
    expect(json.message).toContain("not supported");
  }
  expect(await server.request("POST", "/swarm/leave")).toMatchObject({
    status: 503,
    json: { message: "This node is not part of a swarm" },
  });
  expect((await server.request("POST", "/build/prune")).json).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
  const until = Math.ceil(Date.now() / 1000);
  const filters = encodeURIComponent('{"type":["builder"]}');
  expect((await server.request("GET", `/events?since=0&until=${until}&filters=${filters}`)).json).toMatchObject({
    Action: "prune",
    Actor: { ID: "", Attributes: { reclaimed: "0" } },
  });
});

rooted("each version of the API from 1.24 to 1.51 is answered in its shape", async () => {
  for (let minor = 24; minor <= 51; minor++) {
    const { status, json: info } = await server.request("GET", `/v1.${minor}/info`);
    expect([minor, status]).toEqual([minor, 200]);
    expect([minor, "BridgeNfIptables" in info]).toEqual([minor, minor < 50]);
    expect([minor, "Expected" in info.RuncCommit]).toEqual([minor, minor < 49]);
    expect([minor, "CgroupVersion" in info]).toEqual([minor, minor >= 41]);
    expect([minor, "Warnings" in info]).toEqual([minor, minor >= 39]);
    const { json: image } = await server.request("GET", `/v1.${minor}/images/hello/json`);
    expect([minor, "VirtualSize" in image]).toEqual([minor, minor < 44]);
    expect([minor, "ContainerConfig" in image]).toEqual([minor, minor < 45]);
    expect([minor, "Hostname" in image.Config]).toEqual([minor, minor < 50]);
    const { json: images } = await server.request("GET", `/v1.${minor}/images/json`);
    expect([minor, images[0].Containers >= 0]).toEqual([minor, minor >= 51]);
    const create = { Image: "hello", HostConfig: { Annotations: { a: "b" }, NetworkMode: "none" } };
    const { json: created } = await server.request("POST", `/v1.${minor}/containers/create`, create);
    const { json: container } = await server.request("GET", `/containers/${created.Id}/json`);
    expect([minor, container.HostConfig.Annotations !== undefined]).toEqual([minor, minor >= 43]);
    await server.request("DELETE", `/containers/${created.Id}`);
  }
  for (const minor of [23, 52]) expect((await server.request("GET", `/v1.${minor}/info`)).status).toBe(400);
});

/** Bun's client wants TCP. */
async function onTcp(socketPath: string): Promise<{ tcp: Server; port: number }> {
  const tcp = createServer((client) => {
    const daemon = connect(socketPath);
    for (const socket of [client, daemon]) socket.on("error", () => socket.destroy());
    client.pipe(daemon);
    daemon.pipe(client);
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  return { tcp, port: (tcp.address() as { port: number }).port };
}

rooted("attach/ws: stdin, both outputs and the end, over a websocket", async () => {
  await using daemon = await TestDaemon.start();
  const { tcp, port } = await onTcp(daemon.socketPath);
  try {
    const script = "read line; echo got $line; echo oops >&2";
    const id = await daemon.create({
      Cmd: ["/bin/sh", "-c", script],
      OpenStdin: true,
      StdinOnce: true,
      HostConfig: hostUsr,
    });
    const query = "stream=1&stdin=1&stdout=1&stderr=1";
    const socket = new WebSocket(`ws://127.0.0.1:${port}/containers/${id}/attach/ws?${query}`);
    socket.binaryType = "arraybuffer";
    let output = "";
    socket.onmessage = ({ data }) => (output += Buffer.from(data as ArrayBuffer).toString());
    const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
    await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
    await daemon.request("POST", `/containers/${id}/start`);
    socket.send("hello\n");
    expect((await closed).code).toBe(1000);
    expect(output.split("\n").sort()).toEqual(["", "got hello", "oops"]);
    // Without asking for a websocket, and for a container that is not there.
    expect((await daemon.request("GET", `/containers/${id}/attach/ws`)).status).toBe(400);
    expect((await daemon.request("GET", "/containers/none/attach/ws")).status).toBe(404);
  } finally {
    tcp.close();
  }
});

rooted("a Dockerfile is checked, and its targets are listed, without building it", async () => {
  const look = async (call: string, body: object) =>
    server.request("POST", `/lighter/dockerfile?call=${call}`, { Filename: "D", ...body });
  const Dockerfile = "# a the first\nFROM hello AS a\nCOPY x /x\nENV $NOTHING=1\n";
  const { json: checked } = await look("check", { Dockerfile, Dockerignore: "x" });
  expect(checked).toMatchObject({ Failed: true });
  expect(checked.Text).toContain("WARNING: CopyIgnoredFile - https://");
  expect(checked.Text).toContain("Usage of undefined variable '$NOTHING'");
  expect(checked.Text).toContain("   4 | >>> ENV $NOTHING=1");
  expect((await look("check", { Dockerfile: "FROM hello" })).json).toEqual({
    Text: "Check complete, no warnings found.\n",
    Failed: false,
  });
  expect((await look("targets", { Dockerfile })).json.Text).toContain("a (default) the first");
  expect((await look("targets", { Dockerfile: "FOO" })).status).toBe(400);
  expect((await look("other", { Dockerfile })).status).toBe(400);
  expect((await look("check", { Dockerfile: 1 })).status).toBe(400);
});
