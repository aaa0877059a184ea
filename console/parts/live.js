// @ts-check
// What happens on the server, as it happens. The browser comes back by itself when the connection breaks, with the last
// event's id, so that nothing is missed.

/** How long after a refusal a stream is asked for again. */
const AGAIN = 5000;
/** How long after one look the next is taken, however much happens. */
const CALM = 2000;

/**
 * Follows a stream of events. Where the server refuses one (too many calls, a session that is over) the browser gives up, and
 * this goes on.
 * @param {string} path
 * @param {Record<string, (event: MessageEvent) => void>} heard by the type of an event
 * @param {{ signal: AbortSignal, refused: () => void }} options
 * @returns {() => void} what ends it
 */
export function listen(path, heard, { signal, refused }) {
  /** @type {EventSource} */ let source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let later;
  let last = '';
  const open = () => {
    source = new EventSource(last ? `${path}?after=${encodeURIComponent(last)}` : path);
    for (const [type, told] of Object.entries(heard)) {
      source.addEventListener(type, (event) => {
        last = event.lastEventId;
        told(event);
      });
    }
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      refused();
      later = setTimeout(open, AGAIN);
    };
  };
  const close = () => {
    clearTimeout(later);
    source.close();
  };
  open();
  signal.addEventListener('abort', close);
  if (signal.aborted) close();
  return close;
}

/**
 * Looks at the library, now and whenever something happens there.
 * @param {AbortSignal} signal @param {() => Promise<void>} changed never called twice at a time
 */
export async function follow(signal, changed) {
  let [due, busy, missed] = [false, false, false];
  const told = () => {
    if (busy) missed = true;
    else if (!due) {
      due = true;
      setTimeout(look, 150);
    }
  };
  const look = async () => {
    [due, busy, missed] = [false, true, false];
    if (!signal.aborted) await changed();
    setTimeout(() => {
      busy = false;
      if (missed) look();
    }, CALM);
  };
  const types = ['uploaded', 'overridden', 'changed', 'restored', 'deleted', 'purged', 'expired', 'held', 'released'];
  listen('/api/library/events', Object.fromEntries(types.map((type) => [type, told])), { signal, refused: told });
  // What this page did itself is told here too, even where the stream cannot be had.
  document.addEventListener('jumpbag-changed', told, { signal });
  await look();
}

/** Looks again and again, each time so long after the last look has ended. @param {number} milliseconds @param {AbortSignal} signal @param {() => Promise<unknown>} look one that answers `false` is the last */
export function every(milliseconds, signal, look) {
  const next = () => setTimeout(async () => {
    if (!signal.aborted && await look() !== false) next();
  }, milliseconds);
  next();
}
