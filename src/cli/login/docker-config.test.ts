import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joinMembers, splitMembers } from "../format/json-members.ts";
import { CredentialStore, encodeAuthHeader, hostOf } from "./credentials.ts";
import { dockerConfigPath, parseDockerConfig, readDockerConfig, writeAuth } from "./docker-config.ts";

const folder = mkdtempSync(join(tmpdir(), "lighter-docker-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
function configPath(text?: string): string {
  const path = join(folder, String(count++), "config.json");
  if (text !== undefined) {
    Bun.spawnSync(["mkdir", "-p", join(path, "..")]);
    writeFileSync(path, text, { mode: 0o644 });
  }
  return path;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("the file is in DOCKER_CONFIG, or in .docker of HOME", () => {
  expect(dockerConfigPath({ DOCKER_CONFIG: "/c", HOME: "/h" })).toBe("/c/config.json");
  expect(dockerConfigPath({ HOME: "/h" })).toBe("/h/.docker/config.json");
});

test("an auth is user and password up to its first colon; tokens are kept beside", () => {
  const text = JSON.stringify({
    auths: { a: { auth: base64("user:pa:ss"), email: "e" }, b: { identitytoken: "t" }, c: null },
    credsStore: "s",
    credHelpers: { d: "h" },
  });
  const config = parseDockerConfig("/c", text);
  expect([...config.auths]).toEqual([
    ["a", { username: "user", password: "pa:ss", email: "e", serveraddress: "a" }],
    ["b", { serveraddress: "b", identitytoken: "t" }],
    ["c", { serveraddress: "c" }],
  ]);
  expect(config.credsStore).toBe("s");
  expect([...config.credHelpers]).toEqual([["d", "h"]]);
});

test("detach keys and prune filters are there, or empty", () => {
  const keysAndFilters = (text: string) => {
    const { detachKeys, pruneFilters } = parseDockerConfig("/c", text);
    return { detachKeys, pruneFilters };
  };
  expect(keysAndFilters("{}")).toEqual({ detachKeys: "", pruneFilters: [] });
  const given = { detachKeys: "ctrl-x", pruneFilters: ["label=a", "until=1h"] };
  expect(keysAndFilters(JSON.stringify(given))).toEqual(given);
});

test.each([
  ["[]", "the file is not an object"],
  ['{"detachKeys": 1}', "detachKeys is not a string"],
  ['{"pruneFilters": "label=a"}', "pruneFilters is not a list"],
  ['{"pruneFilters": [1]}', "pruneFilters is not a string"],
  ['{"auths": 3}', "auths is not an object"],
  ['{"auths": {"a": []}}', 'auths "a" is not an object'],
  ['{"auths": {"a": {"auth": "!"}}}', "illegal base64 data in an auth"],
  [`{"auths": {"a": {"auth": "${base64("nocolon")}"}}}`, "Invalid auth configuration file"],
  ['{"credsStore": 1}', "credsStore is not a string"],
  ['{"credHelpers": {"a": {}}}', 'credHelpers "a" is not a string'],
  ["{", "not valid JSON"],
  ['{"auths": {"a": {"auth": c2VjcmV0}}}', "not valid JSON"],
])("config.json %p is refused", (text, message) => {
  const path = configPath(text);
  expect(() => readDockerConfig(path)).toThrow(`${path}: ${message}`);
});

test("an error in an auth does not tell what is in it", () => {
  const path = configPath(`{"auths": {"a": {"auth": "${base64("secret")}"}}}`);
  expect(() => readDockerConfig(path)).toThrow(expect.not.stringContaining(base64("secret")));
});

test("a login is the only change to a file, whose unknown keys keep their values and their order", () => {
  const path = configPath(
    '{"zzz":{"10":1,"2":[],"__proto__":{}},"n":12345678901234567890.10,"auths":{"b":{"auth":"dTpw","x":1}},"aaa":"\\u00e9"}',
  );
  writeAuth(path, "a", { username: "u", password: "p", serveraddress: "a" });
  const written =
    '{"zzz":{"10":1,"2":[],"__proto__":{}},"n":12345678901234567890.10,"auths":{"b":{"auth":"dTpw","x":1},"a":{"auth":"dTpw"}},"aaa":"\\u00e9"}';
  expect(readFileSync(path, "utf8").replaceAll(/[\n\t]|(?<=:) /g, "")).toBe(written);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(path, ".."))).toEqual(["config.json"]);
  writeAuth(path, "a", undefined);
  expect(readFileSync(path, "utf8")).not.toContain('"a":');
});

test("a new file has docker's layout, in a directory of our own", () => {
  const path = configPath();
  writeAuth(path, "https://index.docker.io/v1/", { username: "u", password: "p" });
  expect(readFileSync(path, "utf8")).toBe(
    '{\n\t"auths": {\n\t\t"https://index.docker.io/v1/": {\n\t\t\t"auth": "dTpw"\n\t\t}\n\t}\n}',
  );
  expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);
});

test("behind a symlink the file is replaced, not the link", () => {
  const target = configPath("{}");
  const link = join(folder, "link");
  symlinkSync(target, link);
  writeAuth(link, "a", { identitytoken: "t" });
  expect(JSON.parse(readFileSync(target, "utf8"))).toEqual({ auths: { a: { identitytoken: "t" } } });
  expect(JSON.parse(readFileSync(link, "utf8"))).toEqual({ auths: { a: { identitytoken: "t" } } });
});

test("a file that cannot be read is not written over", () => {
  const path = configPath('{"auths": 3, "precious": 1}');
  expect(() => writeAuth(path, "a", undefined)).toThrow("auths is not an object");
  expect(readFileSync(path, "utf8")).toBe('{"auths": 3, "precious": 1}');
});

test("credentials of old clients are found by the host in their URL", async () => {
  const path = configPath(JSON.stringify({ auths: { "https://old.example/v1/": { auth: base64("u:p") } } }));
  const store = new CredentialStore(readDockerConfig(path));
  expect(await store.get("old.example")).toMatchObject({ username: "u", serveraddress: "https://old.example/v1/" });
  expect(await store.get("other.example")).toEqual({});
  expect(hostOf("http://old.example:5000/v2/x")).toBe("old.example:5000");
});

test("the header is padded base64 for URLs, of JSON as Go writes it", () => {
  expect(encodeAuthHeader({})).toBe("e30=");
  expect(encodeAuthHeader({ username: "x", password: "y??>" })).toBe(
    "eyJ1c2VybmFtZSI6IngiLCJwYXNzd29yZCI6Ink_P1x1MDAzZSJ9",
  );
});

test("members of an object are split and joined without a change", () => {
  const text = '{"a":{"b":[1,{"c":"}"}]},"b":"x\\",\\"y","":null}';
  expect(splitMembers(text)).toEqual([
    ["a", '{"b":[1,{"c":"}"}]}'],
    ["b", '"x\\",\\"y"'],
    ["", "null"],
  ]);
  expect(joinMembers(splitMembers(text))).toBe(text);
  expect(splitMembers(" { } ")).toEqual([]);
});
