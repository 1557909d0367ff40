import { expect, test } from "bun:test";
import { MIN_API_VERSION } from "./protocol.ts";
import { CHANGES, shapeFor } from "./versions.ts";

test("a version has the fields that were added until then and not removed by then", () => {
  const image = { Id: "i", VirtualSize: 1, Container: "", Config: { Hostname: "", Cmd: ["x"] } };
  expect(shapeFor("image", 43, image)).toEqual(image);
  expect(shapeFor("image", 44, image)).toEqual({ Id: "i", Container: "", Config: image.Config } as never);
  expect(shapeFor("image", 50, image)).toEqual({ Id: "i", Config: { Cmd: ["x"] } } as never);
  expect(image).toHaveProperty("VirtualSize"); // the original is unchanged
});

test("fields within lists and maps are found; what is not there or of another type is left alone", () => {
  const body = { HostConfig: { Mounts: [{ BindOptions: { NonRecursive: true, Propagation: "rprivate" } }, {}, 5] } };
  expect(shapeFor("create", 39, body)).toEqual({
    HostConfig: { Mounts: [{ BindOptions: { Propagation: "rprivate" } }, {}, 5] },
  } as never);
  expect(shapeFor("create", 51, body)).toEqual(body);
  for (const odd of [{ HostConfig: null }, { HostConfig: [] }, { HostConfig: { Mounts: "x" } }, []])
    expect(shapeFor("create", 24, odd)).toEqual(odd);
  const networks = { NetworkSettings: { Networks: { none: { GwPriority: 0, DNSNames: null } } } };
  expect(shapeFor("container", 47, networks)).toEqual({
    NetworkSettings: { Networks: { none: { DNSNames: null } } },
  } as never);
});

test("every row is about a version that is spoken", () => {
  const oldest = Number(MIN_API_VERSION.split(".")[1]);
  for (const { path, added = oldest + 1, removed = oldest + 1 } of CHANGES)
    expect([path, added > oldest && removed > oldest]).toEqual([path, true]);
});
