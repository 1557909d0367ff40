import { afterAll, beforeAll, expect, test } from "bun:test";
import { API_BODY_MAX_BYTES } from "../../src/base/limits.ts";
import { ApiServer } from "../support/api-server.ts";

let api: ApiServer;

beforeAll(async () => {
  api = await ApiServer.start();
});

afterAll(() => api[Symbol.asyncDispose]());

test("ping answers with Docker's headers, to HEAD without a body", async () => {
  const get = await api.request("GET", "/_ping");
  expect(get).toMatchObject({ status: 200, text: "OK" });
  expect(get.headers).toMatchObject({
    "api-version": "1.51",
    "docker-experimental": "false",
    ostype: "linux",
    "cache-control": "no-cache, no-store, must-revalidate",
    "content-type": "text/plain; charset=utf-8",
  });
  expect(get.headers.server).toMatch(/^Lighter\/.* \(linux\)$/);
  expect(await api.request("HEAD", "/_ping")).toMatchObject({ status: 200, text: "" });
});

test("every path is there with and without a version", async () => {
  for (const prefix of ["", "/v1.24", "/v1.41", "/v1.51"])
    expect((await api.request("GET", `${prefix}/version`)).json).toMatchObject({ ApiVersion: "1.51", Os: "linux" });
});

test("a version out of range is refused in Docker's words", async () => {
  const tooNew = await api.request("GET", "/v1.99/version");
  expect(tooNew.status).toBe(400);
  expect(tooNew.json.message).toBe("client version 1.99 is too new. Maximum supported API version is 1.51");
  const tooOld = await api.request("GET", "/v1.23/version");
  expect(tooOld.status).toBe(400);
  expect(tooOld.json.message).toStartWith("client version 1.23 is too old. Minimum supported API version is 1.24");
  expect((await api.request("GET", "/v1/version")).json.message).toStartWith("client version 1 is too old.");
  const { status, json } = await api.request("GET", "/v2.0/version");
  expect([status, json.message]).toEqual([400, "client version 2.0 is too new. Maximum supported API version is 1.51"]);
});

test("an unknown page is Docker's 404, whatever the method", async () => {
  for (const [method, path] of [
    ["GET", "/nonesuch"],
    ["PUT", "/containers/json"],
    ["GET", "/"],
    ["POST", "/version"],
    ["GET", "/containers//json"],
  ] as const)
    expect(await api.request(method, path)).toMatchObject({ status: 404, text: '{"message":"page not found"}\n' });
});

test("OPTIONS has an empty answer everywhere; the list of networks may end in a slash", async () => {
  for (const path of ["/", "/v1.45/containers/json", "/no/such/page"])
    expect(await api.request("OPTIONS", path)).toMatchObject({ status: 200, text: "" });
  expect(await api.request("GET", "/v1.45/networks/")).toMatchObject({ status: 200, json: [{}, {}, {}] });
  expect(await api.request("DELETE", "/images/%20")).toMatchObject({
    status: 400,
    json: { message: "image name cannot be blank" },
  });
});

test("a malformed %-escape in the path is an error of the client", async () => {
  expect(await api.request("GET", "/containers/%zz/json")).toMatchObject({ status: 400 });
});

test("info counts containers and says what the kernel can do", async () => {
  const { json } = await api.request("GET", "/info");
  expect(json).toMatchObject({ Containers: 0, ContainersRunning: 0, Images: 1, OSType: "linux", Driver: "overlay2" });
  for (const field of ["MemoryLimit", "CpuCfsQuota", "PidsLimit", "CPUSet"]) expect(json[field]).toBeBoolean();
  expect(json.ID).toBe((await api.request("GET", "/info")).json.ID);
  expect(json.NGoroutines).toBeGreaterThan(0);
  expect(json.RegistryConfig.InsecureRegistryCIDRs).toEqual(["::1/128", "127.0.0.0/8"]);
});

test("info says what the runtime can do, as runtimes tell it", async () => {
  const { status } = (await api.request("GET", "/v1.44/info")).json.Runtimes.lighter;
  expect(JSON.parse(status["org.opencontainers.runtime-spec.features"])).toMatchObject({
    ociVersionMin: "1.0.0",
    mountOptions: expect.arrayContaining(["rro", "rbind"]),
  });
  expect((await api.request("GET", "/v1.43/info")).json.Runtimes.lighter).toEqual({ path: "lighter" });
});

test("bodies that are not JSON are refused with the reason", async () => {
  const create = (body: string, type = "application/json") =>
    api.request("POST", "/containers/create", body, { "Content-Type": type });
  expect(await create("")).toMatchObject({
    status: 400,
    json: { message: "invalid JSON: got EOF while reading request body" },
  });
  expect((await create('{"Image":}')).json.message).toStartWith("invalid JSON: ");
  expect((await create('{"Image":"hello"} {}')).json.message).toBe("unexpected content after JSON");
  expect((await create('{"Image":"hello"}', "text/plain")).json.message).toBe(
    "unsupported Content-Type header (text/plain): must be 'application/json'",
  );
  expect(await create(`${"[".repeat(200_000)}`)).toMatchObject({ status: 400 });
});

const json = { "Content-Type": "application/json" };

test("every route reads its body by the same rules", async () => {
  const id = await api.create({}, "reader");
  const paths = ["containers/create", `containers/${id}/exec`, `containers/${id}/update`, `commit?container=${id}`];
  for (const path of [
    ...paths,
    "volumes/create",
    "networks/create",
    "networks/none/connect",
    "networks/none/disconnect",
  ])
    for (const [body, message] of [
      ["{invalid", "invalid JSON: invalid character 'i' looking for beginning of object key string"],
      ["{} x", "unexpected content after JSON"],
      ["[]", "the body: must be an object, is a list"],
    ] as const)
      expect(await api.request("POST", `/${path}`, body, json)).toMatchObject({ status: 400, json: { message } });
  await api.request("POST", `/containers/${id}/start`);
  const exec = await api.request("POST", `/containers/${id}/exec`, '{"cmd":["a"],"detachkeys":"ctrl-d","X":[1]}', json);
  expect((await api.request("GET", `/exec/${exec.json.Id}/json`)).json).toMatchObject({ DetachKeys: "BA==" });
  const volume = await api.request("POST", "/volumes/create", '{"name":"lower","labels":{"a":"b"},"Later":{}}', json);
  expect(volume.json).toMatchObject({ Name: "lower", Labels: { a: "b" } });
  const network = await api.request("POST", "/networks/create", '{"name":"small","internal":true,"Later":{}}', json);
  expect((await api.request("GET", `/networks/${network.json.Id}`)).json).toMatchObject({
    Name: "small",
    Internal: true,
  });
});

test("a create without settings, and one without an image", async () => {
  for (const [body, message] of [
    ["null", "config cannot be empty in order to create a container"],
    ['{"HostConfig":{"Memory":5}}', "config cannot be empty in order to create a container"],
    ['{"Image":""}', "no command specified"],
  ] as const)
    expect(await api.request("POST", "/containers/create", body, json)).toMatchObject({
      status: 400,
      json: { message },
    });
});

test("a body beyond the limit is refused, and the connection lives on", async () => {
  const answer = await api.request("POST", "/containers/create", Buffer.alloc(API_BODY_MAX_BYTES + 1, 0x20), {
    "Content-Type": "application/json",
  });
  expect(answer).toMatchObject({ status: 400 });
  expect(answer.json.message).toContain(`limit of ${API_BODY_MAX_BYTES} bytes`);
  expect(await api.request("GET", "/_ping")).toMatchObject({ status: 200 });
});

test("an upgrade that is not ours is ignored", async () => {
  const answer = await api.request("GET", "/version", undefined, { Connection: "Upgrade", Upgrade: "h2c" });
  expect(answer.status).toBe(200);
});

test("what is not HTTP gets a 400 and the end", async () => {
  const connection = await api.open("garbage\r\n\r\n");
  expect(await connection.untilEnd()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
});

test("a head that comes byte by byte is read like any other", async () => {
  const connection = await api.open("");
  for (const byte of "GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n") {
    connection.socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await connection.untilEnd()).toEndWith("\r\n\r\nOK");
});

test("a transfer encoding that nobody knows is refused, and ends the connection", async () => {
  for (const encoding of ["xchunked", "gzip, chunked", "identity"]) {
    const connection = await api.open(
      `POST /containers/prune HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: ${encoding}\r\n\r\n0\r\n\r\n`,
    );
    expect(await connection.untilEnd()).toStartWith("HTTP/1.1 501 Not Implemented\r\n");
  }
});

test("a connection that asks for nothing is closed after a while, one that has asked is not", async () => {
  await using slow = await ApiServer.start({ headTimeoutMs: 2000 });
  const used = await slow.open("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
  await used.until((text) => text.endsWith("OK"));
  const waiting = await slow.open(`POST /containers/${await slow.run()}/wait HTTP/1.1\r\nHost: d\r\n\r\n`);
  for (const head of ["", "GET /_ping HTTP/1.1\r\nHost: d\r\n"])
    expect(await (await slow.open(head)).untilEnd()).toBe("");
  expect(used.ended || waiting.ended).toBeFalse();
  used.socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
  expect(await used.untilEnd()).toEndWith("OK");
  waiting.socket.destroy();
});

test("two requests in one packet get two answers in order", async () => {
  const connection = await api.open(
    "HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
  );
  const text = await connection.untilEnd();
  expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
  expect(text).toEndWith("OK");
});
