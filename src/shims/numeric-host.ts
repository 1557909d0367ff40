/** Whether the small engine can connect there: it resolves no names. */
export function isNumeric(hostname: string): boolean {
  return hostname === "localhost" || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}
