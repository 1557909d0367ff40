import { expect, test } from "bun:test";
import { authKeyOfDomain, domainOfServerAddress, parseAuthConfig, parseRegistryAuth } from "./registry-auth.ts";

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const bob = { username: "bob", password: "s€cret??>" };

test("credentials are read in both alphabets of base64, with and without padding", () => {
  const standard = base64(bob);
  const url = Buffer.from(JSON.stringify(bob)).toString("base64url");
  expect(standard).not.toBe(url);
  for (const header of [standard, url, standard.replace(/=+$/, "")]) expect(parseRegistryAuth(header)).toEqual(bob);
});

test("no credentials", () => {
  expect(parseRegistryAuth("")).toEqual({});
  expect(parseRegistryAuth(base64({}))).toEqual({});
  expect(parseRegistryAuth(base64({ username: "", password: "", auth: "", email: "x@y" }))).toEqual({});
});

test("all fields; auth stands for user and password", () => {
  const all = { serveraddress: "localhost:5000", identitytoken: "i", registrytoken: "r" };
  expect(parseAuthConfig({ ...bob, ...all }, "body")).toEqual({ ...bob, ...all });
  const auth = Buffer.from("bob:a:b").toString("base64");
  expect(parseAuthConfig({ auth }, "body")).toEqual({ username: "bob", password: "a:b" });
  expect(() => parseAuthConfig({ auth: base64("x") }, "body")).toThrow("body: auth is not a user");
});

test("what is no credentials is refused without being repeated", () => {
  const secret = "hunter2";
  const headers = [
    "!",
    "a b",
    base64([secret]),
    base64({ username: 1, password: secret }),
    `${base64(secret)}`,
    "x".repeat(70_000),
  ];
  for (const header of [...headers, Buffer.from(`{"password":"${secret}"`).toString("base64")]) {
    let message = "";
    try {
      parseRegistryAuth(header);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toStartWith("X-Registry-Auth is not");
    expect(message).not.toContain(secret);
  }
});

test("what clients call a registry", () => {
  for (const address of ["", "https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"])
    expect(domainOfServerAddress(address)).toBe("docker.io");
  expect(domainOfServerAddress("https://localhost:5000/v2/")).toBe("localhost:5000");
  expect(domainOfServerAddress("quay.io")).toBe("quay.io");
  expect(authKeyOfDomain("docker.io")).toBe("https://index.docker.io/v1/");
  expect(authKeyOfDomain("quay.io")).toBe("quay.io");
});
