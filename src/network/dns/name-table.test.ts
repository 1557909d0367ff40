import { expect, test } from "bun:test";
import { type NamedEndpoint, NameTable } from "./name-table.ts";

/** The endpoint of a container "c-NAME" in a network; ids follow from the names. */
function endpoint(name: string, network: string, host: number, more: Partial<NamedEndpoint> = {}): NamedEndpoint {
  return {
    endpointId: `${network}/${name}`,
    containerId: `c-${name}`,
    networkId: `id-${network}`,
    networkName: network,
    names: [name],
    ipv4: `10.${network.length}.0.${host}`,
    ...more,
  };
}

function tableOf(...endpoints: NamedEndpoint[]): NameTable {
  const table = new NameTable();
  for (const each of endpoints) table.add(each);
  return table;
}

const sees = (table: NameTable, viewer: string, name: string) => table.view(`c-${viewer}`).lookup(name);
const ipv4 = (table: NameTable, viewer: string, name: string) => sees(table, viewer, name)?.ipv4.toSorted();

test("NameTable: a container sees the names of its networks, its own too, and no others", () => {
  const table = tableOf(
    endpoint("web", "n", 2),
    endpoint("db", "n", 3, { names: ["db", "0123456789ab", "sql"] }),
    endpoint("far", "nn", 2),
  );
  for (const name of ["db", "sql", "0123456789ab"]) expect(ipv4(table, "web", name)).toEqual(["10.1.0.3"]);
  expect(ipv4(table, "web", "web")).toEqual(["10.1.0.2"]);
  expect(sees(table, "web", "far")).toBeUndefined();
  expect(sees(table, "stranger", "web")).toBeUndefined();
});

test("NameTable: an IPv4-only container is known, and has no IPv6 address", () => {
  const table = tableOf(endpoint("web", "n", 2), endpoint("six", "n", 3, { ipv6: "fd00::3" }));
  expect(sees(table, "web", "web")).toEqual({ ipv4: ["10.1.0.2"], ipv6: [] });
  expect(sees(table, "web", "six")).toEqual({ ipv4: ["10.1.0.3"], ipv6: ["fd00::3"] });
});

test("NameTable: a name that several containers have is all of them", () => {
  const table = tableOf(
    endpoint("a", "n", 2, { names: ["a", "db"] }),
    endpoint("b", "n", 3, { names: ["b", "db", "DB"] }),
  );
  expect(ipv4(table, "a", "db")).toEqual(["10.1.0.2", "10.1.0.3"]);
  table.remove("n/b");
  expect(ipv4(table, "a", "db")).toEqual(["10.1.0.2"]);
});

test("NameTable: case does not tell names or networks apart", () => {
  const table = tableOf(endpoint("Web", "Net", 2));
  for (const name of ["web", "WEB", "web.net", "Web.NET"]) expect(ipv4(table, "Web", name)).toEqual(["10.3.0.2"]);
});

test("NameTable: name.network is one network's, and the longest name wins", () => {
  const table = tableOf(
    endpoint("me", "n", 9),
    endpoint("me", "a.n", 9),
    endpoint("x", "n", 2),
    endpoint("x", "a.n", 3),
    endpoint("x.a", "n", 4),
  );
  expect(ipv4(table, "me", "x.n")).toEqual(["10.1.0.2"]);
  expect(ipv4(table, "me", "x.a")).toEqual(["10.1.0.4"]);
  expect(ipv4(table, "me", "x.a.n")).toEqual(["10.1.0.4"]); // "x.a" in "n" before "x" in "a.n"
  table.remove("n/x.a");
  expect(ipv4(table, "me", "x.a.n")).toEqual(["10.3.0.3"]);
  expect(sees(table, "me", "x.other")).toBeUndefined();
  expect(sees(table, "me", "n")).toBeUndefined();
  for (const name of ["", ".", "..", ".n", "n."]) expect(sees(table, "me", name)).toBeUndefined();
});

test("NameTable: of several networks the first by name answers, each family by itself", () => {
  const table = tableOf(
    endpoint("me", "b", 9),
    endpoint("me", "aa", 9),
    endpoint("x", "b", 2, { ipv6: "fd00::2" }),
    endpoint("x", "aa", 3),
  );
  expect(sees(table, "me", "x")).toEqual({ ipv4: ["10.2.0.3"], ipv6: ["fd00::2"] });
});

test("NameTable: networks with a way out are asked before others, those with both families first", () => {
  const table = tableOf(
    ...[
      endpoint("me", "a", 9, { internal: true }),
      endpoint("me", "bb", 9),
      endpoint("me", "ccc", 9, { ipv6: "fd00::9" }),
    ],
    ...[endpoint("x", "a", 1), endpoint("x", "bb", 2), endpoint("x", "ccc", 3)],
  );
  const order: string[] = [];
  for (let found = ipv4(table, "me", "x"); found !== undefined; found = ipv4(table, "me", "x")) {
    order.push(found[0]!);
    table.remove({ "10.1.0.1": "a/x", "10.2.0.2": "bb/x", "10.3.0.3": "ccc/x" }[found[0]!]!);
  }
  expect(order).toEqual(["10.3.0.3", "10.2.0.2", "10.1.0.1"]);
});

test("NameTable: a link is its owner's alone, and leads to that container under whatever name", () => {
  const table = tableOf(
    endpoint("me", "n", 9, { links: [{ alias: "Base", containerId: "c-db" }] }),
    endpoint("other", "n", 8),
    endpoint("db", "n", 3),
    endpoint("base", "n", 4),
  );
  expect(ipv4(table, "me", "base")).toEqual(["10.1.0.3"]);
  expect(ipv4(table, "me", "base.n")).toEqual(["10.1.0.3"]);
  expect(ipv4(table, "other", "base")).toEqual(["10.1.0.4"]);
  table.add(endpoint("db", "n", 3, { names: ["renamed"] }));
  expect(ipv4(table, "me", "base")).toEqual(["10.1.0.3"]);
  expect(sees(table, "me", "db")).toBeUndefined();
  table.remove("n/db");
  expect(sees(table, "me", "base")).toBeUndefined();
});

test("NameTable: an address leads back to the first name, in the networks of who asks", () => {
  const table = tableOf(
    endpoint("me", "n", 9),
    endpoint("Db", "n", 3, { names: ["Db", "sql"], ipv6: "fd00::3" }),
    endpoint("far", "nn", 2),
  );
  const view = table.view("c-me");
  expect(view.reverse("10.1.0.3")).toBe("Db.n");
  expect(view.reverse("fd00::3")).toBe("Db.n");
  expect(view.reverse("10.2.0.2")).toBeUndefined();
  table.remove("n/Db");
  expect(view.reverse("10.1.0.3")).toBeUndefined();
});

test("NameTable: an address that went to another container stays there when the first is removed", () => {
  const table = tableOf(endpoint("old", "n", 3), endpoint("me", "n", 9));
  table.add(endpoint("new", "n", 3));
  expect(table.remove("n/old")).toBe(true);
  expect(table.view("c-me").reverse("10.1.0.3")).toBe("new.n");
  expect(table.remove("n/old")).toBe(false);
});

test("NameTable: names of every object in JavaScript are names like any other", () => {
  const table = tableOf(endpoint("constructor", "n", 2));
  expect(ipv4(table, "constructor", "constructor")).toEqual(["10.1.0.2"]);
  expect(sees(table, "constructor", "__proto__")).toBeUndefined();
});
