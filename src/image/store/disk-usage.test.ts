import { expect, test } from "bun:test";
import type { DiffId, Digest } from "../../base/ids.ts";
import type { LayerRecord } from "./database.ts";
import { computeDiskUsage } from "./disk-usage.ts";

const layer = (key: string, sizeBytes: number): LayerRecord => ({
  key: key as DiffId,
  implied: false,
  directory: key,
  sizeBytes,
  blob: { mediaType: "", digest: key as Digest, size: 1 },
});

test("unique bytes, each shared layer once, and unused layers add up to all layers", () => {
  const [base, a, b, unused] = [layer("base", 100), layer("a", 10), layer("b", 1), layer("unused", 1000)];
  const images = [
    { id: "A" as Digest, layers: [base, a, a] }, // an image has this layer twice, the disk once
    { id: "B" as Digest, layers: [base, b] },
  ];
  const usage = computeDiskUsage(images, [base, a, b, unused], 7);
  expect(usage).toEqual({
    images: [
      { id: "A" as Digest, uniqueBytes: 10, sharedBytes: 100 },
      { id: "B" as Digest, uniqueBytes: 1, sharedBytes: 100 },
    ],
    layersBytes: 1111,
    unusedLayersBytes: 1000,
    blobsBytes: 7,
  });
  const unique = usage.images.reduce((sum, image) => sum + image.uniqueBytes, 0);
  expect(unique + base.sizeBytes + usage.unusedLayersBytes).toBe(usage.layersBytes);
});
