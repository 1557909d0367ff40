// needs: nft
import { expect } from "bun:test";
import { TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

/** Every one that a network has. */
const WRITE_POINTS = [
  "insert network",
  "inserted network",
  "made network",
  "delete network",
  "deleted network",
  "removed links of network",
];

interface ListedNetwork {
  Id: string;
  Name: string;
}

async function customNetworks(target: TestDaemon): Promise<ListedNetwork[]> {
  const filters = encodeURIComponent(JSON.stringify({ type: ["custom"] }));
  return (await target.request("GET", `/networks?filters=${filters}`)).json;
}

/** Each network has its bridge and its rules, and there are no others. */
async function check(target: TestDaemon): Promise<void> {
  const bridges = (await customNetworks(target)).map(({ Id }) => `br-${Id.slice(0, 12)}`).sort();
  expect(target.network.links().sort()).toEqual(bridges);
  const rules = target.network.run("nft", "list", "ruleset");
  expect([...new Set(rules.match(/\bbr-[0-9a-f]{12}\b/g))].sort()).toEqual(bridges);
}

for (const point of WRITE_POINTS)
  rooted(`kill -9 at "${point}": the next daemon has whole networks or none, and can remove them`, async () => {
    await using target = await TestDaemon.start();
    await target.request("POST", "/networks/create", { Name: "old" });
    await check(target);
    await target.kill();
    await target.launch({ LIGHTER_TEST_CRASH_AT: point });
    const died = await target
      .request("POST", "/networks/create", { Name: "new" })
      .then(() => target.request("DELETE", "/networks/old"))
      .then(
        () => false,
        () => true,
      );
    expect(died).toBe(true);
    await target.ended();
    expect(target.log).toContain(`: ${point}\n`);
    await target.launch();
    await check(target);
    const names = (await customNetworks(target)).map(({ Name }) => Name);
    const expected = { "insert network": ["old"], "deleted network": ["new"], "removed links of network": ["new"] };
    expect(names).toEqual((expected as Record<string, string[]>)[point] ?? ["old", "new"]);
    for (const name of names) expect((await target.request("DELETE", `/networks/${name}`)).status).toBe(204);
    await check(target);
    expect((await target.request("POST", "/networks/create", { Name: "old" })).status).toBe(201);
    await check(target);
  });
