import { expect, test } from "bun:test";
import { MACHINE_SECRETS_MAX_BYTES } from "../base/limits.ts";
import { machineEnvironment } from "./environment.ts";
import { labelsOfImage, takeSecrets } from "./secrets.ts";

const label = (name: string) => `io.lighter.machine.${name}`;

test("secrets are taken out of labels, whose names stay and tell of them", () => {
  const { labels, secrets } = takeSecrets({
    a: "b",
    [label("credential.passwd.hashed-password.root")]: "$y$ü",
    [label("credential-binary.key")]: "AAEC",
    [label("cloud-init.user-data")]: "#!/bin/sh\n",
    [label("credential.none")]: "",
    [label("other")]: "stays",
  });
  expect(secrets).toEqual({
    credentials: { "passwd.hashed-password.root": Buffer.from("$y$ü").toString("base64"), key: "AAEC" },
    cloudInit: { "user-data": "#!/bin/sh\n" },
  });
  expect(labels).toEqual({
    a: "b",
    [label("other")]: "stays",
    [label("credential.passwd.hashed-password.root")]: "",
    [label("credential-binary.key")]: "",
    [label("cloud-init.user-data")]: "",
  });
  expect(takeSecrets(labels).secrets).toBeUndefined();
  expect(labelsOfImage({ ...labels, [label("nesting")]: "true" })).toEqual({ a: "b", [label("other")]: "stays" });
  expect(machineEnvironment("0".repeat(64), labels)).toContain("CREDENTIALS_DIRECTORY=/run/host/credentials");
  expect(machineEnvironment("0".repeat(64), {}).join()).not.toContain("CREDENTIALS");
});

test.each([
  ["credential.", /"" cannot be/],
  ["credential...", /"\.\." cannot be/],
  ["credential.a/b", /cannot be a credential's name/],
  ["credential.a:b", /cannot be a credential's name/],
  [`credential.${"x".repeat(256)}`, /cannot be a credential's name/],
  ["credential-binary.a", /not base64/],
  ["cloud-init.userdata", /the parts are user-data, meta-data/],
  ["cloud-init.user-data", /does not begin as cloud-init wants it/],
])("the label %s with the value of another is refused", (name, message) => {
  expect(() => takeSecrets({ [label(name)]: "a?b" })).toThrow(message);
});

test("two credentials of one name are refused, and too much", () => {
  const twice = { [label("credential.a")]: "x", [label("credential-binary.a")]: "AAEC" };
  expect(() => takeSecrets(twice)).toThrow(/two credentials/);
  const most = "x".repeat(MACHINE_SECRETS_MAX_BYTES);
  expect(takeSecrets({ [label("credential.a")]: most }).secrets).toBeDefined();
  expect(() => takeSecrets({ [label("credential.a")]: `${most}x` })).toThrow(/more than 1048576/);
});
