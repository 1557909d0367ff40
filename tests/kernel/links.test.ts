// needs: nft
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Links of containers that do not reach one another otherwise. */

const rooted = testIf(isRoot, "needs root");
let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start({ flags: ["--icc=false"] });
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const SERVER = `for $port (80, 81) {
  fork and next;
  $l = IO::Socket::INET->new(LocalPort => $port, Listen => 9, ReuseAddr => 1) or die;
  while ($c = $l->accept) { print $c $c->peerhost, "\\n"; close $c }
}
print "ready\\n"; close STDOUT; sleep`;

interface Member {
  id: string;
  pid: number;
  address: string;
}

async function run(name: string, HostConfig: object = {}): Promise<Member> {
  const id = await daemon.run(
    {
      Cmd: ["/usr/bin/perl", "-MIO::Socket::INET", "-e", SERVER],
      ExposedPorts: { "80/tcp": {} },
      HostConfig: { ...hostUsr, NetworkMode: "bridge", ...HostConfig },
    },
    name,
  );
  return member(id);
}

async function member(id: string): Promise<Member> {
  const { State, NetworkSettings } = await daemon.inspect(id);
  return { id, pid: State.Pid, address: NetworkSettings.Networks.bridge.IPAddress };
}

/** Whom the other sees; "" is nobody within a second. */
function ask(from: Member, to: Member, port: number): string {
  const script = `exec 3<>/dev/tcp/${to.address}/${port} && cat <&3`;
  const argv = ["-t", `${from.pid}`, "-n", "timeout", "1", "bash", "-c", script];
  return spawnSync("nsenter", argv, { encoding: "utf8" }).stdout.trim();
}

const linksInKernel = () => {
  const { nftables } = JSON.parse(daemon.network.run("nft", "-j", "list", "ruleset"));
  return nftables.flatMap(({ set }: { set?: { name: string; elem?: object[] } }) =>
    set?.name === "links" ? (set.elem ?? []) : [],
  );
};

rooted(
  "a linked container's exposed ports are open to who links to it, to no other, and as long as both run",
  async () => {
    const db = await run("db");
    const [web, other] = [await run("web", { Links: ["db:data"] }), await run("other")];
    await eventually(() => expect(ask(web, db, 80)).toBe(web.address));
    expect([ask(web, db, 81), ask(other, db, 80), ask(db, web, 80), ask(other, web, 80)]).toEqual(["", "", "", ""]);
    expect(linksInKernel()).toHaveLength(1);

    daemon.network.run("nft", "flush", "ruleset");
    await eventually(() => expect(linksInKernel()).toHaveLength(1));
    expect([ask(web, db, 80), ask(other, db, 80)]).toEqual([web.address, ""]);

    await daemon.kill();
    await daemon.launch();
    expect([ask(web, db, 80), ask(other, db, 80)]).toEqual([web.address, ""]);

    await daemon.request("POST", "/containers/db/kill");
    await daemon.request("POST", "/containers/db/wait");
    expect(linksInKernel()).toEqual([]);
    const taker = await run("taker"); // db's address
    expect(taker.address).toBe(db.address);
    await daemon.request("POST", "/containers/db/start");
    const again = await member(db.id);
    await eventually(() => expect(ask(web, again, 80)).toBe(web.address));
    expect(ask(web, taker, 80)).toBe("");

    expect((await daemon.request("DELETE", "/containers/web/data?link=1")).status).toBe(204);
    expect([ask(web, again, 80), linksInKernel()]).toEqual(["", []]);
    const proxy = () => daemon.network.run("sh", "-c", "cat /proc/sys/net/ipv4/conf/lighter-*/proxy_arp_pvlan").trim();
    for (const { id } of [web, other, taker, again]) await daemon.request("DELETE", `/containers/${id}?force=1`);
    expect(linksInKernel()).toEqual([]);
    expect(proxy()).toBe("0");
  },
);
