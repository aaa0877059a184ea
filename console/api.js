// @ts-check
// The public API, as any script calls it; the session's cookie goes along by itself. What the server refuses becomes an
// ApiError in its own words.

export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string} target */
  constructor(status, code, message, target) {
    super(message);
    this.status = status;
    this.code = code;
    this.target = target;
  }
}

/** What the page does when the session is over, and while the server asks for patience. */
export const hooks = {
  /** @type {() => void} */ signedOut: () => {},
  /** @type {(seconds: number) => void} */ waiting: () => {},
};

/**
 * @param {string} path
 * @param {{ method?: string, json?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 * @returns {Promise<Response>}
 */
export async function call(path, { method = 'GET', json, headers = {}, signal } = {}) {
  const init = { method, headers: { ...headers }, signal, body: /** @type {string | undefined} */ (undefined) };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers['Content-Type'] = 'application/json';
  }
  for (let attempt = 0; ; attempt += 1) {
    const answer = await send(path, init);
    if (answer.ok) return answer;
    // Nothing was done: it may be asked for again, whatever it is.
    if (answer.status === 429 && attempt < 5) {
      const seconds = Math.min(Number(answer.headers.get('Retry-After')) || 5, 60);
      hooks.waiting(seconds);
      await pause(seconds * 1000, signal);
      continue;
    }
    throw await refusal(answer);
  }
}

/** @param {string} path @param {RequestInit} init */
async function send(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'Offline', 'No answer from the server. Is the network there?', '');
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  const text = await answer.text();
  if (answer.status === 401) hooks.signedOut();
  return parsedRefusal(answer.status, text);
}

/** @param {number} status @param {string} text */
export function parsedRefusal(status, text) {
  try {
    const { code, message, target } = JSON.parse(text).error;
    return new ApiError(status, code, message, target);
  } catch {
    return new ApiError(status, 'Unknown', `The server answered ${status} and gave no reason.`, '');
  }
}

/** @param {number} milliseconds @param {AbortSignal} [signal] */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** @param {string} path @param {{ signal?: AbortSignal }} [options] */
export async function get(path, options) {
  return (await call(path, options)).json();
}

/** All entities of a collection, page after page. @param {string} path @param {{ signal?: AbortSignal }} [options] */
export async function all(path, options) {
  const entities = [];
  for (let next = path; next;) {
    const page = await get(next, options);
    entities.push(...page.value);
    const link = page['@odata.nextLink'];
    next = link ? new URL(link).pathname + new URL(link).search : '';
  }
  return entities;
}

/** The path of a library file. @param {string} name */
export const fileAt = (name) => `/api/libraryfiles/${encodeURIComponent(name)}`;

/**
 * Sends a file with its progress; answers with the file and its entity tag. `fetch` tells none of an upload.
 * @param {FormData} form
 * @param {{ progress: (part: number) => void, signal: AbortSignal, headers?: Record<string, string> }} options
 * @returns {Promise<{ stored: any, tag: string }>}
 */
export function upload(form, { progress, signal, headers = {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/api/libraryfiles');
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    request.onload = () => {
      if (request.status === 200) resolve({ stored: JSON.parse(request.responseText), tag: request.getResponseHeader('ETag') ?? '' });
      else {
        if (request.status === 401) hooks.signedOut();
        reject(Object.assign(parsedRefusal(request.status, request.responseText), {
          wait: Number(request.getResponseHeader('Retry-After')) || 0,
        }));
      }
    };
    request.onerror = () => reject(new ApiError(0, 'Offline', 'The connection was lost. Nothing was stored.', ''));
    request.onabort = () => reject(new ApiError(0, 'Cancelled', 'Cancelled. Nothing was stored.', ''));
    signal.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}
