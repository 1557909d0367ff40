// needs: ip
import { beforeAll, expect } from "bun:test";
import type { Message } from "../../src/linux/netlink/mod.ts";
import {
  attr,
  attributesOf,
  encodeMessage,
  NETLINK,
  NetlinkSocket,
  NLM_F,
  watchNetlink,
} from "../../src/linux/netlink/mod.ts";
import { enterNetworkNamespace, ip } from "../support/enter-network-namespace.ts";
import { failure } from "../support/failure.ts";
import { testIf } from "../support/test-if.ts";

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTNLGRP_LINK = 1;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
/** struct ifinfomsg. */
const HEADER = new Uint8Array(16);

beforeAll(() => {
  if (isRoot) enterNetworkNamespace();
});

function newBridge(name: string, flags = NLM_F.CREATE | NLM_F.EXCL | NLM_F.ACK): Uint8Array {
  const attributes = [attr.text(IFLA_IFNAME, name), attr.nested(IFLA_LINKINFO, [attr.text(IFLA_INFO_KIND, "bridge")])];
  return encodeMessage({ type: RTM_NEWLINK, flags, header: HEADER, attributes });
}

const byName = (type: number, name: string, flags: number) =>
  encodeMessage({ type, flags, header: HEADER, attributes: [attr.text(IFLA_IFNAME, name)] });

const nameOf = (message: Message) => attributesOf(message, 16).text(IFLA_IFNAME);

testAsRoot("a batch is done in one go, and what it asked for is answered in order", () => {
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  const replies = socket.request(
    [
      newBridge("nl-a"),
      newBridge("nl-b", NLM_F.CREATE),
      byName(RTM_GETLINK, "nl-b", 0),
      byName(RTM_GETLINK, "nl-a", NLM_F.ACK),
    ],
    "make two bridges",
  );
  expect(replies.map(nameOf)).toEqual(["nl-b", "nl-a"]);
  const dump = encodeMessage({ type: RTM_GETLINK, flags: NLM_F.DUMP, header: HEADER });
  expect(socket.dump(dump, "list links").map(nameOf)).toEqual(
    expect.arrayContaining(["lo", "nl-a", "nl-b"]), // and tunnels that some kernels put into every namespace
  );
  const remove = NLM_F.ACK;
  socket.request([byName(RTM_DELLINK, "nl-a", remove), byName(RTM_DELLINK, "nl-b", remove)], "remove them");
  expect(ip("-br", "link")).not.toContain("nl-");
});

testAsRoot("the first error of a batch is thrown, with its errno, the kernel's words and its place", () => {
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  const twice = failure(() =>
    socket.request([newBridge("nl-a"), newBridge("nl-a", NLM_F.CREATE | NLM_F.EXCL)], "make bridges"),
  );
  expect(twice.code).toBe("kernel");
  expect(twice.detail.errno).toBe("EEXIST");
  expect(twice.message).toBe("make bridges (message 2 of 2): EEXIST (file exists)");
  const kind = attr.nested(IFLA_LINKINFO, [attr.text(IFLA_INFO_KIND, "nonsense")]);
  const unknown = encodeMessage({ type: RTM_NEWLINK, flags: NLM_F.CREATE, header: HEADER, attributes: [kind] });
  expect(failure(() => socket.request([unknown], "make nonsense")).message).toBe(
    "make nonsense: EOPNOTSUPP (operation not supported): Unknown device type",
  );
  // After an error the socket is as good as before.
  socket.request([byName(RTM_DELLINK, "nl-a", NLM_F.ACK)], "remove it");
  expect(failure(() => socket.request([byName(RTM_DELLINK, "nl-a", NLM_F.ACK)], "remove it")).detail.errno).toBe(
    "ENODEV",
  );
  expect(failure(() => socket.dump(byName(RTM_DELLINK, "nl-a", NLM_F.ACK), "list nothing")).detail.errno).toBe(
    "ENODEV",
  );
});

testAsRoot("a batch of thousands of messages has all its acknowledgements", () => {
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  const messages = Array.from({ length: 5000 }, () => byName(RTM_GETLINK, "lo", NLM_F.ACK));
  const replies = socket.request(messages, "look at loopback");
  expect(replies.length).toBe(5000);
  expect(new Set(replies.map(nameOf))).toEqual(new Set(["lo"]));
});

testAsRoot("a watch tells of every link from its beginning to its end", async () => {
  const seen: string[] = [];
  const { promise: bothGone, resolve: tell } = Promise.withResolvers<void>();
  const watch = watchNetlink(NETLINK.ROUTE, [RTNLGRP_LINK], (messages) => {
    if (messages === "overrun") throw new Error("an overrun");
    for (const message of messages) if (message.type === RTM_DELLINK) seen.push(nameOf(message) ?? "");
    if (seen.length === 2) tell();
  });
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  for (const name of ["nl-a", "nl-b"]) {
    socket.request([newBridge(name)], "make a bridge");
    socket.request([byName(RTM_DELLINK, name, NLM_F.ACK)], "remove it");
  }
  await bothGone;
  expect(seen).toEqual(["nl-a", "nl-b"]);
  watch[Symbol.dispose]();
  socket.request([newBridge("nl-c")], "make a bridge");
  socket.request([byName(RTM_DELLINK, "nl-c", NLM_F.ACK)], "remove it");
  await Bun.sleep(0);
  expect(seen.length).toBe(2);
});

testAsRoot("a watch that was too slow says so, and goes on", async () => {
  const told: (string | undefined)[] = [];
  let wake = () => {};
  using _watch = watchNetlink(NETLINK.ROUTE, [RTNLGRP_LINK], (messages) => {
    if (messages === "overrun") told.push("overrun");
    else for (const message of messages) told.push(nameOf(message));
    wake();
  });
  using socket = new NetlinkSocket(NETLINK.ROUTE);
  socket.request([newBridge("nl-busy")], "make a bridge");
  ip("link", "set", "nl-busy", "up"); // else nobody is told of its changes
  // Tens of mebibytes of notices, in one stretch of the thread that would read them.
  const rename = (alias: string) =>
    encodeMessage({
      type: RTM_NEWLINK,
      flags: NLM_F.ACK,
      header: HEADER,
      attributes: [attr.text(IFLA_IFNAME, "nl-busy"), attr.text(20, alias)],
    });
  const messages = Array.from({ length: 8000 }, (_, index) => rename(`alias ${index}`));
  for (let round = 0; round < 4; round++) socket.request(messages, "name it again and again");
  while (!told.includes("overrun"))
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  socket.request([newBridge("nl-last")], "make a bridge");
  while (!told.includes("nl-last"))
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  socket.request(
    ["nl-busy", "nl-last"].map((name) => byName(RTM_DELLINK, name, NLM_F.ACK)),
    "remove them",
  );
});
