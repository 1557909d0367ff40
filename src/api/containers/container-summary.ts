/** Describes containers as lists show them: the elements of `GET /containers/json`. */
import { type Container, linkNames } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { shapeFor } from "../http/versions.ts";
import { describeNetworks, describePortList } from "./container-networks.ts";
import { describeMounts, describeStatus } from "./container-view.ts";

/** Describes containers as they are at one moment, for a client of one version of the API. */
export class ContainerSummaries {
  readonly #images: Daemon["images"];
  readonly #apiMinor: number;
  readonly #nowMs = Date.now();
  readonly #linkNames: ReadonlyMap<string, readonly string[]>;
  /** Image ids by image name. */
  readonly #imageIds = new Map<string, string>();

  constructor({ images }: Daemon, all: readonly Container[], apiMinor: number) {
    this.#images = images;
    this.#apiMinor = apiMinor;
    this.#linkNames = linkNames(all);
  }

  /** The summary of one container. */
  describe(container: Container): object {
    return { ...this.#describeVarying(container), ...describeLasting(container, this.#apiMinor) };
  }

  /** The summary as JSON text, with `more` members. */
  format(container: Container, more: object = {}): string {
    const varying = JSON.stringify({ ...this.#describeVarying(container), ...more });
    return `${varying.slice(0, -1)},${formatLasting(container, this.#apiMinor).slice(1)}`;
  }

  /** The fields that change with time or with other objects, not only with the container. */
  #describeVarying(container: Container): object {
    const { record } = container;
    const names = [`/${record.name}`];
    for (const name of this.#linkNames.get(record.id) ?? []) names.push(`/${name}`);
    return {
      Id: record.id,
      Names: names,
      Image: this.#imageName(record),
      State: container.state,
      Status: describeStatus(container, this.#nowMs),
    };
  }

  /** The name that the container was made from, or the image's id if the name now means another image. */
  #imageName({ image, imageId }: Container["record"]): string {
    let id = this.#imageIds.get(image);
    if (id === undefined) {
      id = idOfImage(this.#images, image);
      this.#imageIds.set(image, id);
    }
    return id === imageId ? image : imageId;
  }
}

/** The id of the image with this name; "" if there is none. */
export function idOfImage(images: Daemon["images"], name: string): string {
  try {
    return images.get(name).id;
  } catch {
    return "";
  }
}

type Row = Container["record"];

/** The fields of a row that `describeLasting` reads. Each is replaced when it changes, never changed in place. */
type LastingRow = Pick<Row, "status" | "config" | "hostConfig" | "networking" | "mountPoints">;

function isSame(a: LastingRow, b: LastingRow): boolean {
  return (
    a.status === b.status &&
    a.config === b.config &&
    a.hostConfig === b.hostConfig &&
    a.networking === b.networking &&
    a.mountPoints === b.mountPoints
  );
}

interface FormattedLasting {
  row: LastingRow;
  /** The JSON texts by version of the API. */
  texts: Map<number, string>;
}

/** Caches the lasting part: lists are requested often, and nearly all of their text is the same each time. */
const formatted = new WeakMap<Container, FormattedLasting>();

function formatLasting(container: Container, apiMinor: number): string {
  let known = formatted.get(container);
  if (known === undefined || !isSame(known.row, container.record)) {
    const { status, config, hostConfig, networking, mountPoints } = container.record;
    known = { row: { status, config, hostConfig, networking, mountPoints }, texts: new Map() };
    formatted.set(container, known);
  }
  let text = known.texts.get(apiMinor);
  if (text === undefined) {
    text = JSON.stringify(describeLasting(container, apiMinor));
    known.texts.set(apiMinor, text);
  }
  return text;
}

function describeLasting(container: Container, apiMinor: number): object {
  const { record } = container;
  return shapeFor("container summary", apiMinor, {
    ImageID: record.imageId,
    Command: describeCommand(record),
    Created: Math.floor(Date.parse(record.createdAt) / 1000),
    Ports: describePortList(container),
    Labels: record.config.Labels ?? {},
    HostConfig: {
      NetworkMode: record.hostConfig.NetworkMode,
      ...(record.hostConfig.Annotations == null ? {} : { Annotations: record.hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: describeNetworks(container) },
    Mounts: describeMounts(container),
  });
}

function describeCommand({ config }: Row): string {
  const [path = "", ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (args.length === 0) return path;
  return `${path} ${args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg)).join(" ")}`;
}
