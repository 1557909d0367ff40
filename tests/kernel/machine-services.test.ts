// needs: ssh-keygen ssh
/** What machines with systemd run for their network, as Debian has it: networkd with DHCP, resolved, sshd with logins. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { usrWith, withoutFiles } from "../support/debian-files.ts";
import { eventually } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { type RawHeader, rawTar } from "../support/image-tar.ts";
import { hasSystemd, systemdRoot } from "../support/machine-root.ts";
import { isRoot } from "../support/stage.ts";
import { describeIf } from "../support/test-if.ts";

const PACKAGES = ["systemd-resolved", "openssh-server", "libwrap0", "libwtmpdb0"];
const whyNot =
  (isRoot ? undefined : "needs root") ??
  (hasSystemd ? undefined : "needs systemd, dbus-daemon") ??
  withoutFiles(...PACKAGES);
const TIMEOUT_MS = 170_000;
const PATIENCE_MS = 100_000;

const SUBNET = "10.213.7";
const SERVICES = ["systemd-networkd", "systemd-resolved", "ssh"];

const ACCOUNTS = "account required pam_unix.so\nsession required pam_unix.so\nsession required pam_systemd.so\n";

/** A root with these services, the settings of its eth0 and the key of its sshd. */
function serviceRoot(eth0: string, hostKey: Buffer): RawHeader[] {
  const enabled = SERVICES.map((name) => ({
    name: `etc/systemd/system/multi-user.target.wants/${name}.service`,
    type: "2",
    linkName: `/usr/lib/systemd/system/${name}.service`,
  }));
  return [
    ...systemdRoot(),
    ...enabled,
    { name: "etc/systemd/network/eth0.network", content: `[Match]\nName=eth0\n[Network]\n${eth0}` },
    { name: "etc/shadow", content: "root:*:20000::::::\n", mode: 0o640 },
    ...["sshd", "systemd-user"].map((name) => ({ name: `etc/pam.d/${name}`, content: ACCOUNTS })),
    { name: "etc/ssh/host_key", content: hostKey, mode: 0o600 },
    // A client that tries again is not to be refused for that.
    { name: "etc/ssh/sshd_config", content: "HostKey /etc/ssh/host_key\nUsePAM yes\nPerSourcePenalties no\n" },
  ];
}

describeIf(whyNot)("the network of machines", () => {
  let daemon: TestDaemon;
  let folder: string;
  beforeAll(async () => {
    if (whyNot !== undefined) return;
    folder = mkdtempSync(join(tmpdir(), "lighter-services-"));
    await runProgram(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
    daemon = await TestDaemon.start();
    const IPAM = { Config: [{ Subnet: `${SUBNET}.0/24` }] };
    await daemon.request("POST", "/networks/create", { Name: "lan", IPAM });
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  async function start(name: string, network: string, address: string): Promise<string> {
    const archive = dockerArchive({
      layers: [rawTar(...serviceRoot(network, readFileSync(`${folder}/key`)))],
      tags: [`${name}:1`],
      config: {},
    });
    await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
    const body = {
      Image: `${name}:1`,
      Hostname: name,
      Cmd: ["/usr/lib/systemd/systemd"],
      Labels: { "io.lighter.machine.credential.ssh.authorized_keys.root": readFileSync(`${folder}/key.pub`, "utf8") },
      HostConfig: { Runtime: "machine", NetworkMode: "lan", Mounts: [usrWith(...PACKAGES)] },
      NetworkingConfig: { EndpointsConfig: { lan: { IPAMConfig: { IPv4Address: address } } } },
    };
    return await daemon.run(body, name);
  }

  /** What a command says to who has logged in by ssh from the host. */
  const ssh = async (address: string, command: string) => {
    const given = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"];
    const options = ["-F", "none", "-i", join(folder, "key"), ...given.flatMap((option) => ["-o", option])];
    const { stdout, stderr } = await runProgram(daemon.network.inside("ssh", ...options, `root@${address}`, command));
    return stdout + stderr;
  };

  test(
    "is given by DHCP from one to the other, has names by resolved, and is the way to log in by ssh",
    async () => {
      const server = `Address=${SUBNET}.2/24\nDHCPServer=yes\n[DHCPServer]\nPoolOffset=100\nPoolSize=1\nEmitDNS=no\n`;
      await start("server", server, `${SUBNET}.2`);
      await start("client", "DHCP=ipv4\n", `${SUBNET}.3`);
      const says = (command: string) => ssh(`${SUBNET}.100`, command);
      await eventually(async () => expect(await says("echo in")).toBe("in\n"), PATIENCE_MS);
      expect(await says("networkctl status eth0 --no-pager")).toContain(`${SUBNET}.100 (DHCPv4 via ${SUBNET}.2)`);
      const answer = await says("resolvectl query --no-pager --protocol=dns server; grep ^nameserver /etc/resolv.conf");
      expect(answer).toMatch(/^server: 10\.213\.7\.2\n[\s\S]* protocol DNS [\s\S]*\nnameserver 127\.0\.0\.53\n$/);
      expect(await says("getent ahostsv4 server | head -n 1")).toContain(`${SUBNET}.2 `);
      const session = "loginctl show-session $XDG_SESSION_ID -p Name -p Service --value; systemctl is-active user@0";
      expect(await says(session)).toBe("root\nsshd\nactive\n");
      await eventually(async () => expect(await says("systemctl is-system-running")).toBe("running\n"), PATIENCE_MS);
      expect(await says(`systemctl is-active ${SERVICES.join(" ")}`)).toBe("active\n".repeat(SERVICES.length));
    },
    TIMEOUT_MS,
  );
});
