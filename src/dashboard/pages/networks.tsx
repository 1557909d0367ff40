/** Networks, each with those who are in it and what they publish. */
import { plain } from "../format.ts";
import { Empty, Panel, useAnswer } from "../parts/basics.tsx";
import { linkTo } from "../route.ts";
import { get } from "../session.ts";
import { containers, nameOf } from "../state.ts";

interface Network {
  Id: string;
  Name: string;
  Driver: string;
  Internal: boolean;
  IPAM: { Config: { Subnet?: string; Gateway?: string }[] | null };
}

export function Networks() {
  const { answer } = useAnswer(() => get<Network[]>("/networks"), "");
  return (
    <>
      <h1>Networks</h1>
      {(answer ?? []).map((network) => (
        <NetworkPanel key={network.Id} network={network} />
      ))}
    </>
  );
}

function NetworkPanel({ network: { Id, Name, Driver, Internal, IPAM } }: { network: Network }) {
  const members = (containers.value ?? []).flatMap((container) => {
    const endpoint = Object.values(container.NetworkSettings.Networks).find(({ NetworkID }) => NetworkID === Id);
    return endpoint === undefined ? [] : [{ container, address: endpoint.IPAddress }];
  });
  const subnets = (IPAM.Config ?? []).map(({ Subnet = "" }) => Subnet).filter(Boolean);
  return (
    <Panel
      title={plain(Name, 80)}
      aside={
        <span class="muted">{[plain(Driver, 30), ...subnets, ...(Internal ? ["no way out"] : [])].join(" · ")}</span>
      }
    >
      {members.length === 0 ? (
        <Empty title="Nobody is in this network" />
      ) : (
        <ul class="map">
          {members.map(({ container, address }) => (
            <li key={container.Id}>
              <a href={linkTo("container", container.Id)}>{plain(nameOf(container), 60)}</a>
              <small>{address || container.State}</small>
              {container.Ports.filter(({ PublicPort }) => PublicPort !== undefined)
                .slice(0, 6)
                .map(({ IP = "", PublicPort, PrivatePort, Type }) => (
                  <small key={`${IP} ${PublicPort} ${Type}`}>
                    {IP === "" ? "" : `${IP}:`}
                    {PublicPort} → {PrivatePort}/{Type}
                  </small>
                ))}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
