/** What `GET /lighter/networks/{id}/rules` answers: what the firewall has for a network and for the ports that lead into it. */
export interface NetworkRules {
  /** The table's name, as nft(8) takes it; "" if there are no rules. */
  table: string;
  rules: NetworkRule[];
}

export interface NetworkRule {
  /** The set or map that has the element. */
  set: string;
  /** The element in the words of nft(8). */
  element: string;
  why: string;
  /** The container's address, of an element about one container. */
  address?: string;
}
