/** Volumes: where they are and who uses them. */
import { plain } from "../format.ts";
import { Empty, Pending, useAnswer } from "../parts/basics.tsx";
import { linkTo } from "../route.ts";
import { get } from "../session.ts";
import { containers, nameOf } from "../state.ts";

interface Volume {
  Name: string;
  Driver: string;
  Mountpoint: string;
}

export function Volumes() {
  const { answer, ...asked } = useAnswer(() => get<{ Volumes: Volume[] | null }>("/volumes"), "", ["volume"]);
  if (answer === undefined)
    return (
      <>
        <h1>Volumes</h1>
        <Pending what="the volumes" {...asked} />
      </>
    );
  const volumes = answer.Volumes ?? [];
  return (
    <>
      <h1>Volumes</h1>
      {volumes.length === 0 ? (
        <Empty title="There are no volumes">
          <p>
            <code>lighter run -v data:/data …</code> makes one by the way.
          </p>
        </Empty>
      ) : (
        <section class="panel" aria-label="Volumes">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Driver</th>
                <th scope="col">Used by</th>
                <th scope="col">Where it is</th>
              </tr>
            </thead>
            <tbody>
              {volumes.map((volume) => (
                <Row key={volume.Name} volume={volume} />
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

function Row({ volume: { Name, Driver, Mountpoint } }: { volume: Volume }) {
  const users = (containers.value ?? []).filter(({ Mounts }) => Mounts.some((mount) => mount.Name === Name));
  return (
    <tr>
      <th scope="row">{plain(Name, 40)}</th>
      <td>{plain(Driver, 30)}</td>
      <td>
        {users.length === 0 && <span class="muted">nobody</span>}
        {users.slice(0, 5).map((user) => (
          <a key={user.Id} class="user" href={linkTo("container", user.Id)}>
            {plain(nameOf(user), 40)}
          </a>
        ))}
      </td>
      <td class="muted image">
        <code>{plain(Mountpoint, 120)}</code>
      </td>
    </tr>
  );
}
