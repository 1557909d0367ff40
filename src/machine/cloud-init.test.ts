import { expect, test } from "bun:test";
import type { CloudInitPart } from "../spec/machine-labels.ts";
import { checkCloudInit, seedFiles } from "./cloud-init.ts";

const CLOUD_CONFIG = `#cloud-config
users:
  - default
  - {name: web, sudo: ['ALL=(ALL) NOPASSWD:ALL'], ssh_authorized_keys: ["ssh-ed25519 AAAA x@y"]}
write_files:
- path: /etc/motd
  permissions: '0644'
  content: |
    a: b
      c
- {path: /etc/key, encoding: b64, content: !!binary aGVsbG8=}
runcmd:
 - [ sh, -xc, "echo $(date) ': hello'" ]
 - >-
   one
   line
`;

test.each<[CloudInitPart, string]>([
  ["user-data", CLOUD_CONFIG],
  ["user-data", "#cloud-config\n"],
  ["user-data", "#cloud-config"],
  ["user-data", "#!/bin/sh\necho : [\n"],
  ["user-data", "## template: jinja\n#cloud-config\n{% if x %}\n"],
  ["user-data", 'Content-Type: multipart/mixed; boundary="x"\n'],
  ["user-data", "#include\nhttps://example.org/x\n"],
  ["vendor-data", "#cloud-config\na: b\n"],
  ["meta-data", "instance-id: a\nlocal-hostname: b\n"],
  ["meta-data", '{"instance-id": "a"}'],
  ["network-config", "version: 2\nethernets:\n  eth0: {dhcp4: true}\n"],
  ["network-config", "network: {version: 1, config: []}\n"],
  ["network-config", "config: disabled\n"],
])("as %s this is taken: %j", (part, text) => {
  checkCloudInit(part, text);
});

test.each<[CloudInitPart, string, RegExp]>([
  ["user-data", "users: []\n", /user-data does not begin/],
  ["user-data", "#cloud-config\na: [\n", /user-data is not YAML/],
  ["user-data", "#cloud-config\n- a\n", /user-data is not a mapping/],
  ["vendor-data", "x", /vendor-data does not begin/],
  ["meta-data", "local-hostname: a\n", /has no "instance-id"/],
  ["meta-data", "", /has no "instance-id"/],
  ["meta-data", "- a\n", /not a mapping/],
  ["network-config", "ethernets: {}\n", /no "version"/],
  ["network-config", "version: 3\n", /no "version"/],
  ["network-config", "network: x\n", /no "version"/],
])("as %s this is refused: %j", (part, text, message) => {
  expect(() => checkCloudInit(part, text)).toThrow(message);
});

test("a seed has what NoCloud wants in any case: an id that stays, and a network that is left alone", () => {
  const id = "0123456789abcdef".repeat(4);
  const texts = (files: ReturnType<typeof seedFiles>) =>
    Object.fromEntries(files.map(({ path, text, mode }) => [path, `${mode?.toString(8)} ${text}`]));
  expect(texts(seedFiles({ "user-data": "#!/bin/sh\n" }, { id, hostname: "web" }))).toEqual({
    "/var/lib/cloud/seed/nocloud/meta-data": "600 instance-id: 0123456789ab4def8123456789abcdef\nlocal-hostname: web\n",
    "/var/lib/cloud/seed/nocloud/user-data": "600 #!/bin/sh\n",
    "/var/lib/cloud/seed/nocloud/network-config": "600 config: disabled\n",
  });
  const own = texts(seedFiles({ "meta-data": "instance-id: x\n" }, { id, hostname: "web" }));
  expect(own["/var/lib/cloud/seed/nocloud/meta-data"]).toBe("600 instance-id: x\n");
  expect(own["/var/lib/cloud/seed/nocloud/user-data"]).toBe("600 #cloud-config\n");
});
