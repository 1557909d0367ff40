export { type HostPort, PortReservations, type WantedPort } from "./reservations.ts";
