/** Ports of the host that containers have. */
export { type HostPort, PortReservations, type WantedPort } from "./reservations.ts";
