/** What is trusted: authorities, client certificates, plain HTTP. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "../../src/base/ids.ts";
import { RegistryClient } from "../../src/image/registry/mod.ts";
import { send, sendFollowing } from "../../src/image/registry/transport.ts";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { sha256 } from "../support/image-archive.ts";
import { testIf } from "../support/test-if.ts";
import { timing } from "./support.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-registry-tls-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const pem = (path: string): string => readFileSync(path, "utf8");

function makeAll() {
  const server = makeCertificates(directory, "server");
  const other = makeCertificates(directory, "other");
  const elsewhere = makeCertificates(directory, "elsewhere", ["DNS:elsewhere.example"]);
  return { tls: { cert: pem(server.certPath), key: pem(server.keyPath) }, ca: pem(server.caPath), other, elsewhere };
}
const made = hasOpenssl ? makeAll() : undefined;
const tlsTest = testIf(hasOpenssl, "needs openssl");

tlsTest(
  "a certificate of an unknown authority, or of another host, is refused by name, whatever was trusted before",
  async () => {
    const { ca, elsewhere, other, tls } = made!;
    await using registry = await FakeRegistry.start({ tls });
    const url = `${registry.url}/v2/`;
    const get = async (options: object): Promise<number> => {
      const response = await send({ method: "GET", url, tls: options });
      await response.discard();
      return response.status;
    };
    const refused = {
      code: "unavailable",
      failure: "certificate",
      message: `Get "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    };
    expect(await get({ ca })).toBe(200);
    expect(await get({ insecure: true })).toBe(200);
    await expect(get({})).rejects.toMatchObject(refused);
    await expect(get({ ca: pem(other.caPath) })).rejects.toMatchObject(refused);
    await expect(get({ ca: "banana" })).rejects.toMatchObject({ code: "unavailable" });
    expect(await get({ ca })).toBe(200);

    await using wrongName = await FakeRegistry.start({
      tls: { cert: pem(elsewhere.certPath), key: pem(elsewhere.keyPath) },
    });
    await expect(
      send({ method: "GET", url: `${wrongName.url}/v2/`, tls: { ca: pem(elsewhere.caPath) } }),
    ).rejects.toMatchObject({
      message: `Get "${wrongName.url}/v2/": tls: failed to verify certificate: x509: certificate is not valid for 127.0.0.1`,
    });
  },
);

test("a server that speaks plain HTTP where TLS is meant is named as Docker does", async () => {
  await using registry = await FakeRegistry.start();
  const url = `https://${registry.host}/v2/`;
  await expect(send({ method: "GET", url })).rejects.toMatchObject({
    failure: "not-tls",
    message: `Get "${url}": http: server gave HTTP response to HTTPS client`,
  });
});

tlsTest(
  "a client certificate from the registry's directory is shown to the registry, and not to where it redirects",
  async () => {
    const { ca, other, tls } = made!;
    await using registry = await FakeRegistry.start({ tls: { ...tls, clientCa: pem(other.caPath) } });
    await using storage = await FakeRegistry.start({ tls: { ...tls, clientCa: pem(other.caPath) } });
    const image = registry.addImage("a", "1", { layers: [] });
    const certificatesPath = join(directory, "certs.d");
    const hostPath = join(certificatesPath, registry.host);
    mkdirSync(hostPath, { recursive: true });
    writeFileSync(join(hostPath, "ca.crt"), ca);
    const client = () => RegistryClient.open({ certificatesPath }, { domain: registry.host, path: "a" }, { timing });
    await expect((await client()).getManifest("1")).rejects.toMatchObject({ code: "unavailable" });
    writeFileSync(join(hostPath, "client.cert"), pem(other.certPath));
    writeFileSync(join(hostPath, "client.key"), pem(other.keyPath));
    expect((await (await client()).getManifest("1")).descriptor.digest).toBe(image.digest as never);

    storage.addImage("a", "1", { layers: [] });
    registry.inject({ path: /manifests/, fault: { kind: "redirect", location: `${storage.url}/v2/a/manifests/1` } });
    await expect((await client()).getManifest("1")).rejects.toMatchObject({ code: "unavailable" });
    expect(storage.requests).toEqual([]);
  },
);

tlsTest("a registry on loopback without TLS is found after TLS was tried; with TLS it stays at that", async () => {
  const { tls } = made!;
  const certificatesPath = join(directory, "nowhere");
  await using plain = await FakeRegistry.start();
  await using secure = await FakeRegistry.start({ tls });
  for (const registry of [plain, secure]) {
    const image = registry.addImage("a", "1", { layers: [] });
    const client = await RegistryClient.open({ certificatesPath }, { domain: registry.host, path: "a" }, { timing });
    expect((await client.getManifest("1")).descriptor.digest).toBe(image.digest as never);
    const { endpoints } = await client.describeBlob({ digest: image.configDigest as never, size: 1 });
    expect(endpoints.map(({ url }) => url)).toEqual([`${registry.url}/v2/a/blobs/${image.configDigest}`]);
  }
});

tlsTest("a password is not sent without TLS because a registry with TLS says so", async () => {
  const { tls } = made!;
  await using secure = await FakeRegistry.start({ tls });
  await using plain = await FakeRegistry.start({ users: { bob: "secret" } });
  const headers = { "WWW-Authenticate": `Bearer realm="${plain.url}/token"` };
  secure.inject({ path: /manifests/, fault: { kind: "answer", status: 401, headers } });
  const credentials = { username: "bob", password: "secret" };
  const options = { timing, credentials };
  const client = await RegistryClient.open(
    { certificatesPath: directory },
    { domain: secure.host, path: "a" },
    options,
  );
  await expect(client.getManifest("1")).rejects.toMatchObject({
    code: "unavailable",
    message: `the registry's token server "${plain.url}/token" is without TLS: it gets no password`,
  });
  expect(plain.requests).toEqual([]);
});

tlsTest("TLS is not left by a redirect", async () => {
  const { ca, tls } = made!;
  await using secure = await FakeRegistry.start({ tls });
  await using plain = await FakeRegistry.start();
  secure.inject({ path: "/x", fault: { kind: "redirect", location: `${plain.url}/x` } });
  const url = `${secure.url}/x`;
  await expect(sendFollowing({ method: "GET", url, tls: { ca } })).rejects.toMatchObject({
    code: "unavailable",
    message: `Get "${url}": redirected from https to http at ${plain.host}`,
  });
  expect(plain.requests).toEqual([]);
});

tlsTest(
  "an upload's place that a registry behind a proxy gives without TLS is the same server's, or refused",
  async () => {
    const { tls } = made!;
    await using secure = await FakeRegistry.start({ tls });
    const options = { timing, actions: "pull,push" } as const;
    const client = await RegistryClient.open(
      { certificatesPath: directory },
      { domain: secure.host, path: "a" },
      options,
    );
    const blob = Buffer.from("a blob");
    const descriptor = { digest: `sha256:${sha256(blob)}` as Digest, size: blob.length };
    async function* open(): AsyncGenerator<Uint8Array, void> {
      yield blob;
    }
    const answerWith = (location: string): void =>
      secure.inject({
        method: "POST",
        path: /uploads/,
        times: 1,
        fault: { kind: "answer", status: 202, headers: { Location: location } },
      });
    answerWith("http://127.0.0.1/v2/a/blobs/uploads/77?state=x");
    await expect(client.uploadBlob(descriptor, open)).rejects.toMatchObject({ registryCode: "BLOB_UPLOAD_UNKNOWN" });
    expect(secure.requests.at(-1)!.path).toBe(
      `/v2/a/blobs/uploads/77?state=x&digest=${encodeURIComponent(descriptor.digest)}`,
    );
    answerWith("http://storage.example/x");
    await expect(client.uploadBlob(descriptor, open)).rejects.toMatchObject({
      code: "unavailable",
      message: `upload blob ${descriptor.digest} to ${secure.host}: the registry names a place without TLS, at storage.example`,
    });
  },
);
