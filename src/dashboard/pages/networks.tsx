/** Networks as maps: the host's ports, the bridge, who is on it; and the rules of the firewall that serve them. */
import { useState } from "preact/hooks";
import type { NetworkRules } from "../../spec/network-rules.ts";
import { plain } from "../format.ts";
import { Panel, Pending, State, useAnswer } from "../parts/basics.tsx";
import { linkTo } from "../route.ts";
import { get } from "../session.ts";
import { type ContainerSummary, containers, nameOf, type Port } from "../state.ts";

interface Network {
  Id: string;
  Name: string;
  Driver: string;
  Internal: boolean;
  IPAM: { Config: { Subnet?: string; Gateway?: string }[] | null };
}

interface Member {
  container: ContainerSummary;
  address: string;
  /** Those that may lead to it by this network. */
  ports: Port[];
  /** The other networks that it is in. */
  others: string[];
}

export function Networks() {
  const { answer, ...asked } = useAnswer(() => get<Network[]>("/networks"), "", ["network"]);
  const byUse = (answer ?? [])
    .map((network) => ({ network, members: membersOf(network) }))
    .sort((a, b) => rank(a) - rank(b));
  return (
    <>
      <h1>Networks</h1>
      {answer === undefined && <Pending what="the networks" {...asked} />}
      {byUse.map(({ network, members }) => (
        <NetworkPanel key={network.Id} network={network} members={members} />
      ))}
    </>
  );
}

/** The user's own come first, then the default one; those without addresses last, but for empty ones. */
function rank({ network: { Name, Driver }, members }: { network: Network; members: readonly Member[] }): number {
  const place = Driver === "null" ? 3 : Driver === "host" ? 2 : Name === "bridge" ? 1 : 0;
  return place + (members.length === 0 ? 10 : 0);
}

function membersOf({ Id, Driver, Internal }: Network): Member[] {
  return (containers.value ?? []).flatMap((container) => {
    const all = Object.entries(container.NetworkSettings.Networks);
    const own = all.find(([, { NetworkID }]) => NetworkID === Id)?.[1];
    if (own === undefined) return [];
    const others = all.filter(([, { NetworkID }]) => NetworkID !== Id).map(([name]) => name);
    const ports = Driver !== "bridge" || Internal ? [] : container.Ports.filter(({ PublicPort }) => PublicPort);
    return [{ container, address: own.IPAddress, ports, others }];
  });
}

function NetworkPanel({ network, members }: { network: Network; members: readonly Member[] }) {
  const { Id, Name, Driver, Internal, IPAM } = network;
  const pools = (IPAM.Config ?? []).filter(({ Subnet }) => Subnet);
  return (
    <Panel
      title={plain(Name, 80)}
      aside={
        <span class="muted">
          {[plain(Driver, 30), ...pools.map(({ Subnet }) => Subnet), ...(Internal ? ["no way out"] : [])].join(" · ")}
        </span>
      }
    >
      {members.length === 0 ? (
        <p class="muted body">Nobody is in this network.</p>
      ) : (
        <div class={Driver === "null" ? "map unlinked" : "map"}>
          <div class="map-heads muted" aria-hidden="true">
            <span>{Driver === "bridge" && !Internal ? "ports of the host" : ""}</span>
            <span>
              {Driver === "null" ? "" : pools.flatMap(({ Gateway }) => Gateway || []).join(", ") || plain(Driver, 30)}
            </span>
            <span>containers</span>
          </div>
          <ul>
            {members.map((member) => (
              <MemberRow key={member.container.Id} {...member} />
            ))}
          </ul>
        </div>
      )}
      {Driver === "bridge" && members.length > 0 && <Rules id={Id} members={members} />}
    </Panel>
  );
}

function MemberRow({ container, address, ports, others }: Member) {
  return (
    <li class={ports.length > 0 ? "published" : ""}>
      <span class="map-ports">
        {ports.slice(0, 8).map((port) => (
          <span key={`${port.IP} ${port.PublicPort} ${port.Type}`} class="badge">
            {portText(port)}
          </span>
        ))}
        {ports.length > 8 && <span class="muted">and {ports.length - 8} more</span>}
      </span>
      <span class="map-bridge" aria-hidden="true" />
      <span class="map-member">
        <a href={linkTo("container", container.Id)}>{plain(nameOf(container), 60)}</a>{" "}
        {address === "" ? <State state={container.State} /> : <span class="muted">{address}</span>}
        {others.length > 0 && <small> also in {others.map((name) => plain(name, 40)).join(", ")}</small>}
      </span>
    </li>
  );
}

function portText({ IP = "", PublicPort, PrivatePort, Type }: Port): string {
  const address = IP === "" || IP === "0.0.0.0" ? "" : `${IP.includes(":") ? `[${IP}]` : IP}:`;
  return `${address}${PublicPort} → ${PrivatePort}${Type === "tcp" ? "" : `/${Type}`}`;
}

/** What the kernel's table has for the network. It is read when somebody wants to see it. */
function Rules({ id, members }: { id: string; members: readonly Member[] }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div class="body">
      <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        Rules of the firewall
      </button>
      {isOpen && <RuleList id={id} members={members} />}
    </div>
  );
}

function RuleList({ id, members }: { id: string; members: readonly Member[] }) {
  const key = members.map(({ container, address }) => `${container.Id} ${address}`).join();
  const { answer, ...asked } = useAnswer(() => get<NetworkRules>(`/lighter/networks/${id}/rules`), key);
  if (answer === undefined) return <Pending what="the rules" {...asked} />;
  if (answer.rules.length === 0)
    return <p class="muted">There are none: its bridge has not been made, or the daemon writes no rules.</p>;
  const nameAt = (address: string | undefined) => {
    const member = members.find((each) => each.address === address);
    return member === undefined ? "" : plain(nameOf(member.container), 40);
  };
  return (
    <>
      <p class="muted">
        <code>nft list table {answer.table}</code> shows all of the table. These are the elements of its sets that this
        network has put there; everything else that would come in from outside is dropped.
      </p>
      <div class="scrolls" tabIndex={0}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">Set</th>
              <th scope="col">Element</th>
              <th scope="col">So that</th>
              <th scope="col">Container</th>
            </tr>
          </thead>
          <tbody>
            {answer.rules.map(({ set, element, why, address }) => (
              <tr key={`${set} ${element}`}>
                <th scope="row">{set}</th>
                <td>
                  <code>{element}</code>
                </td>
                <td>{why}</td>
                <td>{nameAt(address)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
