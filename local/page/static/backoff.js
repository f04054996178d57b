// backoff is how long to wait before attempt n (0, 1, 2 …), in milliseconds:
// doubling up to a limit, between half and all of it by chance, so that many
// clients do not come back at the same moment.
export function backoff(n, first = 500, limit = 30_000) {
  return Math.min(limit, first * 2 ** Math.min(n, 16)) * (0.5 + Math.random() / 2);
}
