/** Tokens, users and logins against a registry with a token server. */
import { expect, test } from "bun:test";
import { VERSION } from "../../src/base/version.ts";
import { checkAuth, isUnauthorized, openBlob, type RegistryClient } from "../../src/image/registry/mod.ts";
import { FakeRegistry, type FakeRegistryOptions, type Fault } from "../support/fake-registry.ts";
import { config, openClient, timing } from "./support.ts";

const users = { bob: "sec:ret" };
const bob = { username: "bob", password: "sec:ret" };
const layers = [Buffer.from("a layer")];

async function start(options: FakeRegistryOptions = { users }): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  registry.addImage("a/b", "1", { layers });
  return registry;
}

const tokenRequests = (registry: FakeRegistry) => registry.requests.filter(({ path }) => path.startsWith("/token"));

async function download(client: RegistryClient, digest: string, size: number): Promise<void> {
  for await (const _ of openBlob(await client.describeBlob({ digest: digest as never, size }), 0, { timing }));
}

test("one token serves all requests of a client, also those that wait for it together", async () => {
  await using registry = await start();
  const { digest } = registry.addImage("a/b", "2", { layers });
  const client = await openClient(registry, "a/b", { credentials: bob });
  await Promise.all([client.getManifest("1"), client.getManifest("2"), client.resolve("1")]);
  await client.getManifest(digest);
  await download(client, registry.addBlob(Buffer.from("x")), 1);
  expect(tokenRequests(registry)).toHaveLength(1);
  const { method, path, headers } = tokenRequests(registry)[0]!;
  expect(method).toBe("GET");
  expect(Object.fromEntries(new URL(path, "http://x").searchParams)).toEqual({
    service: "fake",
    scope: "repository:a/b:pull",
    account: "bob",
  });
  expect(headers.get("authorization")).toBe(`Basic ${btoa("bob:sec:ret")}`);
});

test("without a user a token is asked for all the same", async () => {
  await using registry = await start({ users, anonymousPull: true });
  await (await openClient(registry, "a/b")).getManifest("1");
  expect(tokenRequests(registry).map(({ headers }) => headers.get("authorization"))).toEqual([undefined]);
  await using closed = await start();
  await expect((await openClient(closed, "a/b")).getManifest("1")).rejects.toMatchObject({
    code: "unauthorized",
    message: "unauthorized: authentication required",
  });
});

test("a wrong password is refused in the token server's words", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", { credentials: { ...bob, password: "wrong" } });
  await expect(client.getManifest("1")).rejects.toMatchObject({
    code: "unauthorized",
    message: `Get "${registry.url}/v2/a/b/manifests/1": unauthorized: incorrect username or password`,
  });
});

test("a push says in the token server's words alone why it gets none", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", {
    credentials: { ...bob, password: "wrong" },
    actions: "pull,push",
  });
  const digest = registry.addBlob(Buffer.from("blob")) as never;
  const message = "unauthorized: incorrect username or password";
  await expect(client.hasBlob(digest)).rejects.toMatchObject({ code: "unauthorized", message });
});

test("registries and token servers are told who asks, and for whom", async () => {
  await using registry = await start();
  const clientAgent = "Docker-Client/26.1.5 (linux); \\o/";
  const client = await openClient(registry, "a/b", { credentials: bob, clientAgent });
  await client.getManifest("1");
  await download(client, registry.addBlob(Buffer.from("x")), 1);
  await checkAuth(config, { ...bob, serveraddress: registry.host }, { timing, clientAgent });
  const agents = new Set(registry.requests.map(({ headers }) => headers.get("user-agent")));
  const escaped = String.raw`Docker-Client/26.1.5 \(linux\)\; \\o/`;
  expect([...agents]).toEqual([`lighter/${VERSION} UpstreamClient(${escaped})`]);
  registry.requests.length = 0;
  await (await openClient(registry, "a/b", { credentials: bob })).resolve("1");
  expect(registry.requests.every(({ headers }) => headers.get("user-agent") === `lighter/${VERSION}`)).toBe(true);
});

test("an identity token is exchanged by POST, and a registry token is used as it is", async () => {
  await using registry = await start();
  registry.refreshTokens.set("identity", "bob");
  await (await openClient(registry, "a/b", { credentials: { identitytoken: "identity" } })).getManifest("1");
  const { method, body, headers } = tokenRequests(registry)[0]!;
  expect([method, headers.get("authorization")]).toEqual(["POST", undefined]);
  expect(Object.fromEntries(new URLSearchParams(body.toString()))).toEqual({
    grant_type: "refresh_token",
    refresh_token: "identity",
    service: "fake",
    client_id: "lighter",
    scope: "repository:a/b:pull",
  });
  const token = /Bearer (.*)/.exec(registry.requests.at(-1)!.headers.get("authorization") ?? "")![1]!;
  registry.requests.length = 0;
  await (await openClient(registry, "a/b", { credentials: { registrytoken: token } })).getManifest("1");
  expect(tokenRequests(registry)).toEqual([]);
  await expect(
    (await openClient(registry, "a/b", { credentials: { registrytoken: "stale" } })).getManifest("1"),
  ).rejects.toMatchObject({ code: "unauthorized" });
});

test("a token that the registry no longer takes is replaced", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", { credentials: bob });
  await client.getManifest("1");
  registry.revokeTokens();
  await client.getManifest("1");
  expect(tokenRequests(registry)).toHaveLength(2);
});

test("a blob whose authorization has run out says so, and can be described again", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", { credentials: bob });
  const descriptor = { digest: registry.addBlob(Buffer.from("blob")) as never, size: 4 };
  const source = await client.describeBlob(descriptor);
  expect(source.endpoints[0]!.authorization).toMatch(/^Bearer token-/);
  registry.revokeTokens();
  const error = await Array.fromAsync(openBlob(source, 0, { timing })).catch((thrown: unknown) => thrown);
  expect(isUnauthorized(error)).toBe(true);
  const fresh = await client.describeBlob(descriptor, source);
  expect(await Array.fromAsync(openBlob(fresh, 1, { timing }))).toEqual([new Uint8Array(Buffer.from("lob"))]);
  registry.revokeTokens();
  expect((await client.getBlob(descriptor)).toString()).toBe("blob");
});

test("a push asks for more, and a mount for the other repository too", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", { credentials: bob, actions: "pull,push" });
  const digest = registry.addBlob(Buffer.from("blob")) as never;
  expect(await client.hasBlob(digest)).toBe(true);
  expect(await client.mountBlob(digest, "c/d")).toBe(true);
  const scopes = tokenRequests(registry).map(({ path }) => new URL(path, "http://x").searchParams.getAll("scope"));
  expect(scopes).toEqual([["repository:a/b:pull,push"], ["repository:a/b:pull,push", "repository:c/d:pull"]]);
});

test("a scope that the server names beyond ours is asked for, and one that ours covers is not", async () => {
  await using registry = await start();
  const client = await openClient(registry, "a/b", { credentials: bob, actions: "pull,push" });
  const challenge = `Bearer realm="${registry.url}/token",scope="repository:a/b:pull repository:proxy/a/b:pull"`;
  const headers = { "WWW-Authenticate": challenge };
  registry.inject({ path: /manifests/, times: 1, fault: { kind: "answer", status: 401, headers } });
  await client.getManifest("1");
  const { searchParams } = new URL(tokenRequests(registry)[0]!.path, "http://x");
  expect(searchParams.getAll("scope")).toEqual(["repository:a/b:pull,push", "repository:proxy/a/b:pull"]);
});

const badTokens: [string, Fault, object][] = [
  ["is not JSON", { kind: "answer", status: 200, body: "<html>" }, { code: "invalid" }],
  [
    "has no token",
    { kind: "answer", status: 200, body: "{}" },
    { message: expect.stringContaining("did not include a token") },
  ],
  [
    "would end the header",
    { kind: "answer", status: 200, body: '{"token":"a\\r\\nX: y"}' },
    { message: expect.stringContaining("did not include a token") },
  ],
  ["has a token of another type", { kind: "answer", status: 200, body: '{"token":1}' }, { code: "invalid" }],
  [
    "is without end",
    { kind: "answer", status: 200, body: "x".repeat(2_000_000) },
    { message: expect.stringContaining("longer than") },
  ],
  [
    "is a failure",
    { kind: "answer", status: 500, body: "" },
    { code: "unavailable", message: expect.stringContaining('/token": received unexpected HTTP status: 500') },
  ],
];

for (const [what, fault, expected] of badTokens)
  test(`a token server's answer that ${what} is refused`, async () => {
    await using registry = await start();
    registry.inject({ path: /^\/token/, fault });
    await expect((await openClient(registry, "a/b")).getManifest("1")).rejects.toMatchObject(expected);
  });

test("a challenge that leads nowhere is the end of it", async () => {
  await using registry = await start();
  const challenges: [string | undefined, RegExp][] = [
    [undefined, /^unauthorized: authentication required$/],
    ["Negotiate", /^unauthorized: authentication required$/],
    ['Bearer realm="ftp://x/"', /token server "ftp:\/\/x\/" is not a valid URL/],
    [
      'Bearer realm="http://127.0.0.1:1/token"',
      /^Get "http:\/\/127\.0\.0\.1:1\/token": dial tcp 127\.0\.0\.1:1: connect: connection refused$/,
    ],
  ];
  for (const [challenge, message] of challenges) {
    const headers: Record<string, string> = challenge === undefined ? {} : { "WWW-Authenticate": challenge };
    registry.inject({ path: /manifests/, times: 1, fault: { kind: "answer", status: 401, headers } });
    await expect((await openClient(registry, "a/b", { credentials: bob })).getManifest("1")).rejects.toThrow(message);
  }
});

test("checkAuth: a token server gives an identity token in place of the password", async () => {
  await using registry = await start();
  const serveraddress = registry.host;
  const answer = await checkAuth(config, { ...bob, serveraddress }, { timing });
  expect(answer.Status).toBe("Login Succeeded");
  expect(registry.refreshTokens.get(answer.IdentityToken)).toBe("bob");
  const asked = new URL(tokenRequests(registry)[0]!.path, "http://x").searchParams;
  expect(Object.fromEntries(asked)).toEqual({
    service: "fake",
    account: "bob",
    client_id: "lighter",
    offline_token: "true",
  });
  const identitytoken = answer.IdentityToken;
  expect((await checkAuth(config, { identitytoken, serveraddress }, { timing })).Status).toBe("Login Succeeded");
  await expect(checkAuth(config, { username: "bob", password: "x", serveraddress }, { timing })).rejects.toMatchObject({
    code: "unauthorized",
    message: `Get "${registry.url}/v2/": unauthorized: incorrect username or password`,
  });
});

test("checkAuth: what cannot be reached, or is no registry, is named", async () => {
  const registry = await start();
  const serveraddress = registry.host;
  registry.inject({ path: "/v2/", times: 1, fault: { kind: "answer", status: 404, body: "<html>" } });
  await expect(checkAuth(config, { ...bob, serveraddress }, { timing })).rejects.toMatchObject({
    code: "not-found",
    message: `Get "${registry.url}/v2/": error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: "<html>"`,
  });
  await registry[Symbol.asyncDispose]();
  await expect(checkAuth(config, { ...bob, serveraddress }, { timing })).rejects.toMatchObject({
    code: "unavailable",
    message: `Get "http://${serveraddress}/v2/": dial tcp ${serveraddress}: connect: connection refused`,
  });
  const nowhere = checkAuth(config, { ...bob, serveraddress: "no-such-host.invalid" }, { timing });
  await expect(nowhere).rejects.toMatchObject({
    code: "unavailable",
    message: 'Get "https://no-such-host.invalid/v2/": dial tcp: lookup no-such-host.invalid: no such host',
  });
});
