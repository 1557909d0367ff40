/** Measures the space that containers and volumes take on the disk. */
import { type Container, measureTrees } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

interface ContainerSizes {
  /** The size of the container's own files; -1 if it is not known. */
  SizeRw: number;
  /** That size with the image's. */
  SizeRootFs: number;
}

/** Measures containers; the results have the order of `containers`. */
export async function measureContainers(
  { engine, images }: Daemon,
  containers: readonly Container[],
): Promise<ContainerSizes[]> {
  const own = await measureTrees(
    engine.workers,
    containers.map(({ id }) => engine.paths.container(id).upper),
  );
  return containers.map(({ record }, index) => {
    let ofImage = 0;
    try {
      ofImage = images.get(record.imageId).sizeBytes;
    } catch {
      // the image was removed by force while the container was stopped
    }
    return { SizeRw: own[index]!, SizeRootFs: Math.max(own[index]!, 0) + ofImage };
  });
}

/** Measures containers for a list. As Go leaves out what is 0, a container without files of its own has no SizeRw. */
export async function measureForList(daemon: Daemon, containers: readonly Container[]): Promise<object[]> {
  const sizes = await measureContainers(daemon, containers);
  return sizes.map((each) => Object.fromEntries(Object.entries(each).filter(([, bytes]) => bytes !== 0)));
}

/** Measures volumes; the sizes are by the volume's name. */
export async function measureVolumes({ engine }: Daemon, names: readonly string[]): Promise<Map<string, number>> {
  const { volumes, workers } = engine;
  const sizes = await measureTrees(
    workers,
    names.map((name) => volumes.pathOf(name)),
  );
  return new Map(names.map((name, index) => [name, sizes[index]!]));
}
