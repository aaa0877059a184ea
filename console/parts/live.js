// @ts-check
// What others do in the library, as it happens. The browser comes back by itself when the connection breaks, with the
// last event's id, so that nothing is missed.

/** @param {AbortSignal} signal @param {() => void} changed called a moment after the last of some events */
export function follow(signal, changed) {
  const source = new EventSource('/api/library/events');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;
  const told = () => {
    clearTimeout(soon);
    soon = setTimeout(changed, 150);
  };
  for (const type of ['uploaded', 'overridden', 'changed', 'restored', 'deleted', 'purged', 'expired', 'held', 'released']) {
    source.addEventListener(type, told);
  }
  signal.addEventListener('abort', () => {
    clearTimeout(soon);
    source.close();
  });
}
