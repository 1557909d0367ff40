/** Images: what each takes, by layer, and who uses it. */
import { useState } from "preact/hooks";
import { formatAge, formatBytes, plain, shortId } from "../format.ts";
import { Empty, Panel, Pending, useAnswer } from "../parts/basics.tsx";
import { linkTo } from "../route.ts";
import { get } from "../session.ts";
import { containers, nameOf } from "../state.ts";

interface Image {
  Id: string;
  RepoTags: string[] | null;
  Created: number;
  Size: number;
  SharedSize: number;
}

interface Step {
  CreatedBy: string;
  Size: number;
}

export function Images() {
  const { answer, ...asked } = useAnswer(() => get<Image[]>("/images/json?shared-size=1"), "", ["image"]);
  const images = [...(answer ?? [])].sort((a, b) => b.Size - a.Size);
  const largest = images[0]?.Size ?? 0;
  return (
    <>
      <h1>Images</h1>
      {answer === undefined && <Pending what="the images" {...asked} />}
      {answer !== undefined && images.length === 0 && (
        <Empty title="There are no images">
          <p>
            <code>lighter pull alpine</code> downloads one.
          </p>
        </Empty>
      )}
      {images.map((image) => (
        <ImagePanel key={image.Id} image={image} largest={largest} />
      ))}
    </>
  );
}

function ImagePanel({ image, largest }: { image: Image; largest: number }) {
  const [isOpen, setOpen] = useState(false);
  const { Id, RepoTags, Created, Size, SharedSize } = image;
  const shared = Math.max(0, SharedSize);
  const share = (bytes: number) => ({ width: `${largest > 0 ? (100 * bytes) / largest : 0}%` });
  const users = (containers.value ?? []).filter(({ ImageID }) => ImageID === Id);
  return (
    <Panel
      title={plain(RepoTags?.join(", ") || `${shortId(Id)}, without a name`, 120)}
      aside={<span>{formatBytes(Size)}</span>}
    >
      <div class="body">
        <div class="bar" aria-hidden="true">
          <span class="unique" style={share(Size - shared)} />
          <span class="shared" style={share(shared)} />
        </div>
        <p class="muted">
          {formatBytes(Size - shared)} of its own, {formatBytes(shared)} shared with other images · {shortId(Id)} · made{" "}
          {formatAge(Date.now() / 1000 - Created)} ago
        </p>
        <p>
          {users.length === 0
            ? "No container uses it."
            : users.slice(0, 8).map((user) => (
                <a key={user.Id} class="user" href={linkTo("container", user.Id)}>
                  {plain(nameOf(user), 40)}
                </a>
              ))}
          {users.length > 8 && <span class="muted">and {users.length - 8} more</span>}
        </p>
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Layers
        </button>
        {isOpen && <Layers id={Id} />}
      </div>
    </Panel>
  );
}

function Layers({ id }: { id: string }) {
  const { answer, ...asked } = useAnswer(() => get<Step[]>(`/images/${id}/history`), id);
  if (answer === undefined) return <Pending what="its layers" {...asked} />;
  const steps = [...answer].reverse();
  const largest = Math.max(1, ...steps.map(({ Size }) => Size));
  return (
    <ol class="layers">
      {steps.map(({ CreatedBy, Size }, index) => (
        <li key={index}>
          <code>{plain(CreatedBy || "files", 160)}</code> <small>{formatBytes(Size)}</small>
          <div class="bar" aria-hidden="true">
            <span class="unique" style={{ width: `${(100 * Size) / largest}%` }} />
          </div>
        </li>
      ))}
    </ol>
  );
}
