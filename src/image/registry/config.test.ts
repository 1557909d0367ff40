import { expect, test } from "bun:test";
import { endpointsOf, parseMirror } from "./config.ts";

const nowhere = "/nonexistent";
const addresses = async (config: object, domain: string): Promise<string[][]> => {
  const endpoints = await endpointsOf({ certificatesPath: nowhere, ...config }, domain);
  return endpoints.map((endpoint) =>
    endpoint.addresses.map(({ baseUrl, tls }) => baseUrl + (tls.insecure === true ? " (insecure)" : "")),
  );
};

const cases: [string, object, string, string[][]][] = [
  ["docker.io is at its registry", {}, "docker.io", [["https://registry-1.docker.io"]]],
  ["another registry is verified", {}, "quay.io", [["https://quay.io"]]],
  [
    "mirrors come before docker.io, without their final slash",
    { mirrors: ["https://mirror.example/", "http://10.0.0.1:5000/hub/"] },
    "docker.io",
    [["https://mirror.example"], ["http://10.0.0.1:5000/hub"], ["https://registry-1.docker.io"]],
  ],
  ["mirrors are for docker.io only", { mirrors: ["https://mirror.example"] }, "quay.io", [["https://quay.io"]]],
  ...["localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"].map(
    (host): [string, object, string, string[][]] => [
      `${host} is on loopback`,
      {},
      host,
      [[`https://${host} (insecure)`, `http://${host}`]],
    ],
  ),
  ["128.0.0.1 is not on loopback", {}, "128.0.0.1", [["https://128.0.0.1"]]],
  ["127.evil.example is not on loopback", {}, "127.evil.example", [["https://127.evil.example"]]],
  ["localhost.evil.example is not", {}, "localhost.evil.example", [["https://localhost.evil.example"]]],
  [
    "an insecure registry by host and port",
    { insecureRegistries: ["Reg.example:5000"] },
    "reg.example:5000",
    [["https://reg.example:5000 (insecure)", "http://reg.example:5000"]],
  ],
  ["its other port is not", { insecureRegistries: ["reg.example:5000"] }, "reg.example", [["https://reg.example"]]],
  [
    "an insecure network",
    { insecureRegistries: ["10.0.0.0/8", "fd00::/8"] },
    "10.1.2.3:5000",
    [["https://10.1.2.3:5000 (insecure)", "http://10.1.2.3:5000"]],
  ],
  [
    "an insecure network of IPv6",
    { insecureRegistries: ["10.0.0.0/8", "fd00::/8"] },
    "[fd12::1]:5000",
    [["https://[fd12::1]:5000 (insecure)", "http://[fd12::1]:5000"]],
  ],
  ["an address outside", { insecureRegistries: ["10.0.0.0/8"] }, "11.1.2.3", [["https://11.1.2.3"]]],
  [
    "a name that cannot be looked up is in no network",
    { insecureRegistries: ["0.0.0.0/0"] },
    "no-such-host.invalid",
    [["https://no-such-host.invalid"]],
  ],
  [
    "a mirror may be insecure too",
    { mirrors: ["https://m.example"], insecureRegistries: ["m.example"] },
    "docker.io",
    [["https://m.example (insecure)"], ["https://registry-1.docker.io"]],
  ],
];

for (const [name, config, domain, expected] of cases)
  test(`endpointsOf: ${name}`, async () => expect(await addresses(config, domain)).toEqual(expected));

test("configurations that cannot be meant are refused", async () => {
  for (const entry of ["10.0.0.0/33", "10.0.0/8", "host/8", "fd00::/129", "10.0.0.0/"])
    await expect(addresses({ insecureRegistries: [entry] }, "10.0.0.1")).rejects.toMatchObject({
      code: "invalid",
      message: `insecure registry "${entry}" is neither HOST[:PORT] nor a CIDR`,
    });
  const mirrors: [string, string][] = [
    ["mirror.example", 'invalid mirror: "mirror.example" is not a valid URI'],
    ["ftp://m/", 'invalid mirror: unsupported scheme "ftp" in "ftp://m/"'],
    ["https://m/?a=b", 'invalid mirror: query or fragment at end of the URI "https://m/?a=b"'],
    ["https://u:p@m/", "invalid mirror: username/password not allowed in URI"],
  ];
  for (const [mirror, message] of mirrors) expect(() => parseMirror(mirror)).toThrow(message);
  await expect(addresses({}, "a b")).rejects.toMatchObject({ code: "invalid" });
});
