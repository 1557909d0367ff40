import { DNS_FORWARDS_ASSURED, DNS_FORWARDS_MAX, DNS_FORWARDS_MAX_TOTAL } from "../../base/limits.ts";

/**
 * Queries of all containers that wait for other servers. One container may have as many as are left for others: so those that
 * ask and ask come to have the same number each, and as many again are free. A few it may have however many others have.
 */
export class ForwardPool {
  #total = 0;

  /** Of one container. */
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
  /** False: no more now. Else to be followed by one `end`. */
  begin(): boolean;
  end(): void;
}
