// @ts-check
// Whether an export of the audit log is whole, found out here and not by the server: hashes, chain, numbers and signed
// checkpoints, from the first entry on. It stops at the first entry that cannot have been written there.

/** The hash before the first entry. */
const FIRST = '0'.repeat(64);
/** The fields of an entry, and what each may be. @type {Record<string, string[]>} */
const FIELDS = {
  number: ['number'], time: ['string'], actor: ['string'], actorId: ['string'], address: ['string', 'null'], action: ['string'], target: ['string'],
  before: ['object', 'null'], after: ['object', 'null'], requestId: ['string'], previous: ['string'], hash: ['string'],
};
/** How long the page may stand still. */
const BREATH = 50;

/** @typedef {{ name: string, id: string, key: CryptoKey }} Key */
/** @typedef {{ origin: string, number: number, head: string }} Checkpoint */
/** @typedef {{ entries: number, checkpoints: number, last: number, head: string, sealed: number }} Verified */
/** @typedef {{ checkpoint?: string, entry?: any, hash?: string, broken?: string, rewritten?: boolean }} Line */

/** Where a log is not what was written; the first bad entry is none before `first` and none behind `last`. */
export class Fault extends Error {
  /** @param {number} first @param {number} last @param {string} why */
  constructor(first, last, why) {
    const to = Math.max(first, last);
    super(first === to ? `entry ${first}: ${why}` : `entries ${first} to ${to}: ${why}`);
  }
}

/** Why this browser cannot verify; an empty text where it can. */
export async function unable() {
  if (!globalThis.crypto?.subtle) return 'This page came over plain HTTP, and browsers compute nothing of this kind there.';
  try {
    await crypto.subtle.importKey('raw', new Uint8Array(32), 'Ed25519', false, ['verify']);
    return '';
  } catch {
    return 'This browser knows no Ed25519 signatures.';
  }
}

/** JSON with the keys of every object in order and no spaces (RFC 8785). @param {any} value @returns {string} */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

/** @param {Iterable<number>} bytes */
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
/** @param {string} text */
const utf8 = (text) => new TextEncoder().encode(text);

/** @param {string} text @returns {Uint8Array<ArrayBuffer> | null} */
function base64(text) {
  try {
    const plain = atob(text);
    return btoa(plain) === text ? Uint8Array.from(plain, (character) => character.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

/** @param {any} entry */
async function hashOf({ hash, ...entry }) {
  return hex(await sha256(utf8(canonical(entry))));
}

/** A public key as `name+id+key`. @param {string} text @returns {Promise<Key>} */
export async function publicKey(text) {
  const [name, id, ...rest] = text.trim().split('+');
  const bytes = base64(rest.join('+'));
  if (!name || /\s/.test(name) || bytes?.length !== 33 || bytes[0] !== 1) {
    throw new Error('expected a public key such as `name+0123abcd+AQ…`: name, id, Ed25519 key in base64');
  }
  if (hex((await sha256(new Uint8Array([...utf8(`${name}\n`), ...bytes]))).subarray(0, 4)) !== id) {
    throw new Error("the key's id is not that of its name and bytes");
  }
  return { name, id, key: await crypto.subtle.importKey('raw', bytes.subarray(1), 'Ed25519', false, ['verify']) };
}

/**
 * What a note says, once its signature is good: of a key that is known, and of the log that the key is for.
 * @param {string} note @param {Key[]} keys @returns {Promise<Checkpoint>}
 */
export async function opened(note, keys) {
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || !note.endsWith('\n')) throw new Error('a note ends with an empty line and its signatures');
  const text = note.slice(0, cut + 1);
  const signatures = note.slice(cut + 2, -1).split('\n').map((line) => {
    const [, name, packed] = /^— ([^\s+]+) (\S+)$/.exec(line) ?? [];
    const bytes = base64(packed ?? '');
    if (!name || !bytes || bytes.length < 4) throw new Error('a line of a signature is `— name signature`, the signature in base64');
    return { name, id: hex(bytes.subarray(0, 4)), bytes: bytes.subarray(4) };
  });
  let signer = null;
  for (const key of keys) {
    for (const { name, id, bytes } of signatures.filter((line) => line.name === key.name && line.id === key.id)) {
      if (!await crypto.subtle.verify('Ed25519', key.key, bytes, utf8(text))) throw new Error(`the signature by \`${name}+${id}\` does not fit its text`);
      signer ??= key;
    }
  }
  if (!signer) throw new Error(`it is signed by ${signatures.map(({ name, id }) => `\`${name}+${id}\``).join(', ')}, which is no key known here`);
  const [, origin, number, packed] = /^(.+)\n(0|[1-9]\d{0,14})\n(\S+)\n$/.exec(text) ?? [];
  const head = base64(packed ?? '');
  if (head?.length !== 32) throw new Error('a checkpoint has three lines: origin, number of the last entry, its hash in base64');
  if (origin !== signer.name) throw new Error(`it is of the log \`${origin}\`, and signed with the key of \`${signer.name}\``);
  return { origin, number: Number(number), head: hex(head) };
}

/**
 * Keys and checkpoints that somebody kept, as they were printed; `\n` as two characters is the end of a line, too.
 * @param {string} text
 */
export function kept(text) {
  /** @type {string[]} */ const keys = [];
  /** @type {string[]} */ const notes = [];
  const rest = text.replaceAll('\\n', '\n').replaceAll('\r', '').replaceAll('"', '').trim();
  const without = `${rest}\n`.replace(/^\S+\n\d+\n\S+\n\n(?:— .*\n)+/gm, (note) => {
    notes.push(note);
    return '';
  });
  for (const line of without.split('\n').map((one) => one.trim()).filter(Boolean)) keys.push(line);
  return { keys, notes };
}

/** Takes a log line by line. */
export class Verifier {
  /** @type {Verified} */ done = { entries: 0, checkpoints: 0, last: 0, head: FIRST, sealed: 0 };
  /** The hash of the entry before the last. */ before = '';
  /** The entry that the last checkpoint covers. */ counted = -1;

  /** @param {Key[]} keys whose checkpoints count @param {Checkpoint[]} kept those that must still hold */
  constructor(keys, kept) {
    this.keys = keys;
    this.kept = [...kept].sort((one, other) => one.number - other.number);
  }

  /** What needs no line before it: many at a time. @param {string} text @returns {Promise<Line>} */
  async read(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return { broken: `no entry and no checkpoint: ${/** @type {Error} */ (error).message}` };
    }
    if (value?.checkpoint !== undefined) {
      return typeof value.checkpoint === 'string' && Object.keys(value).length === 1 ? { checkpoint: value.checkpoint } : { broken: 'no checkpoint: that is a text, and alone' };
    }
    const odd = value === null || typeof value !== 'object' ? 'it is no object'
      : Object.keys(FIELDS).find((name) => !FIELDS[name].includes(value[name] === null ? 'null' : typeof value[name])) ?? Object.keys(value).find((name) => !FIELDS[name]);
    if (odd || !Number.isSafeInteger(value.number)) return { broken: `no entry and no checkpoint: ${odd ?? 'number'}` };
    // There is one way to write an entry; a name that is there twice, say, is gone once it is read.
    return { entry: value, hash: await hashOf(value), rewritten: JSON.stringify(value).length !== text.length };
  }

  /** @param {Line} line */
  async take({ checkpoint, entry, hash = '', broken, rewritten }) {
    if (broken) throw new Fault(Math.max(this.done.last, 1), this.next(), `the line behind ${this.place()} is ${broken}`);
    if (checkpoint !== undefined) return this.checkpoint(checkpoint);
    if (rewritten) throw new Fault(Math.min(entry.number, this.next()), 0, 'its line was altered: it is not written as it is exported');
    return this.entry(entry, hash);
  }

  next() {
    return this.done.last + 1;
  }

  place() {
    return this.done.entries === 0 ? 'nothing' : `entry ${this.done.last}`;
  }

  /** @param {any} entry @param {string} hash what its hash has to be */
  async entry(entry, hash) {
    const sound = entry.hash === hash;
    // Behind a gap it may be the number that is not true.
    const altered = new Fault(Math.min(this.next(), entry.number), entry.number, `altered: entry ${entry.number} has the hash ${entry.hash}, its content ${hash}`);
    const fault = await this.numbered(entry, sound, altered) ?? this.follows(entry, sound, altered) ?? (sound ? null : altered) ?? this.covers(entry);
    if (fault) throw fault;
    this.before = this.done.head;
    this.done.head = hash;
    this.done.last = entry.number;
    this.done.entries += 1;
  }

  /** Numbers are in order and without gaps, but for those that a restore explains. @param {any} entry @param {boolean} sound @param {Fault} altered */
  async numbered(entry, sound, altered) {
    const { number, previous, action, before } = entry;
    const { last, head } = this.done;
    if (number <= last) return new Fault(number, number, `repeated, moved or inserted: it stands behind entry ${last}`);
    if (number === this.next()) return null;
    const at = action === 'catalog.restore' && Number.isSafeInteger(before?.number) ? before.number : null;
    if (at === last) return null;
    if (at !== null && at < last && sound) return new Fault(at + 1, last, `inserted: entry ${number} continues a backup that ends with entry ${at}`);
    if (previous !== head) return new Fault(this.next(), number - (sound ? 1 : 0), `missing: entry ${number} stands behind ${this.place()}`);
    // The chain has no gap here.
    if (sound) return new Fault(this.next(), number, `missing or forged: entry ${number} follows ${this.place()}, and no restore tells why`);
    const moved = await hashOf({ ...entry, number: this.next() }) === entry.hash;
    return moved ? new Fault(this.next(), 0, `altered: its number is ${number} now`) : altered;
  }

  /** An entry names the hash of the one before it. @param {any} entry @param {boolean} sound @param {Fault} altered */
  follows({ number, previous }, sound, altered) {
    const { entries, last, head } = this.done;
    if (previous === head) return null;
    if (entries > 0 && previous === this.before) return new Fault(last, number, `inserted: entries ${last} and ${number} name the same predecessor`);
    if (!sound) return altered;
    if (entries === 0) return new Fault(number, number, `it is the first and names a predecessor: ${previous}`);
    return new Fault(last, last, `replaced: it has the hash ${head}, and entry ${number} names ${previous} as its predecessor's`);
  }

  /** Checkpoints that were kept, of entries up to this one. @param {any} entry */
  covers(entry) {
    while (this.kept.length > 0 && this.kept[0].number <= entry.number) {
      const checkpoint = /** @type {Checkpoint} */ (this.kept.shift());
      const fault = checkpoint.number < entry.number ? this.beyond(checkpoint) : this.sealed(checkpoint, entry.number, entry.hash);
      if (fault) return fault;
    }
    return null;
  }

  /** @param {Checkpoint} checkpoint @param {number} number @param {string} head */
  sealed(checkpoint, number, head) {
    if (checkpoint.head !== head) {
      return new Fault(Math.min(this.done.sealed + 1, number), number, `rewritten: a checkpoint says that entry ${number} has the hash ${checkpoint.head}, here it has ${head}`);
    }
    this.done.sealed = number;
    return null;
  }

  /** @param {Checkpoint} checkpoint */
  beyond({ number }) {
    return new Fault(this.next(), number, `missing: a checkpoint covers entry ${number}, and what comes before is ${this.place()}`);
  }

  /** A checkpoint that stands behind the entry it covers. @param {string} note */
  async checkpoint(note) {
    const { last, head } = this.done;
    const found = await opened(note, this.keys).catch((error) => {
      throw new Fault(last, last, `the checkpoint behind it does not count: ${error.message}`);
    });
    if (found.number > last) throw this.beyond(found);
    if (found.number < last) throw new Fault(found.number, 0, `its checkpoint stands behind entry ${last}`);
    const fault = this.sealed(found, last, head);
    if (fault) throw fault;
    if (this.counted !== last) this.done.checkpoints += 1;
    this.counted = last;
  }

  finish() {
    if (this.kept.length > 0) throw this.beyond(this.kept[0]);
    return this.done;
  }
}

/**
 * Verifies an export piece by piece; memory does not grow with it.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream @param {Verifier} verifier @param {(done: Verified) => void} [progress]
 * @returns {Promise<Verified>}
 */
export async function verify(stream, verifier, progress = () => {}) {
  const reader = stream.pipeThrough(new TextDecoderStream('utf-8', { fatal: true })).getReader();
  let [rest, breath] = ['', performance.now()];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = `${rest}${value ?? ''}`.split('\n');
      rest = done ? '' : lines.pop() ?? '';
      const read = await Promise.all(lines.filter((line) => line.trim()).map((line) => verifier.read(line.trim())));
      for (const line of read) await verifier.take(line);
      if (done) return verifier.finish();
      if (performance.now() - breath < BREATH) continue;
      progress(verifier.done);
      await new Promise((resolve) => setTimeout(resolve));
      breath = performance.now();
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
