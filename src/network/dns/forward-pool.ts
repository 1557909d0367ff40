/** Shares the number of forwarded DNS queries among containers. */
import { DNS_FORWARDS_ASSURED, DNS_FORWARDS_MAX, DNS_FORWARDS_MAX_TOTAL } from "../../base/limits.ts";

/**
 * Counts queries of all containers that wait for other servers. One container may have as many as are free: so containers that
 * ask without end each come to the same number, and as many again stay free. A few are assured to each container, however many
 * the others have.
 */
export class ForwardPool {
  #total = 0;

  /** Returns one container's share. */
  share(): ForwardShare {
    let own = 0;
    return {
      begin: () => {
        const left = DNS_FORWARDS_MAX_TOTAL - this.#total;
        if (own >= Math.max(DNS_FORWARDS_ASSURED, Math.min(DNS_FORWARDS_MAX, left))) return false;
        own++;
        this.#total++;
        return true;
      },
      end: () => {
        own--;
        this.#total--;
      },
    };
  }
}

export interface ForwardShare {
  /** Returns false if no query may begin now. Otherwise `end` must follow once. */
  begin(): boolean;
  end(): void;
}
