// @ts-check
// Uploads: several at once, a bar and a way to stop for each, and a look at the difference before anything is replaced.

import { ApiError, call, fileAt, get, upload } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { size } from '../format.js';
import { code, decoded } from './code.js';
import { dialog, holds, leave } from './dialog.js';
import { lines } from './lines.js';
import { diff } from './diff.js';
import { wrong } from './toast.js';

/** How many are sent at a time. */
const AT_ONCE = 3;

/** @type {{ element: HTMLDialogElement, add: (files: File[]) => void } | null} */
let open = null;

/** @param {File[]} files */
export async function openUpload(files) {
  if (!open) {
    const usage = await get('/api/library/usage').catch(() => ({ maxFileBytes: 20 << 20 }));
    if (!open) open = uploads(usage.maxFileBytes);
  }
  open.add(files);
}

/** @param {number} largest */
function uploads(largest) {
  /** @type {Item[]} */
  const items = [];
  const list = h('ul', { class: 'items', 'aria-live': 'polite' });
  const input = h('input', { type: 'file', multiple: true, class: 'visually-hidden', id: 'upload-files', onchange: () => add([...input.files]) });
  const description = h('input', { maxlength: 4096, placeholder: 'What it is for', oninput: () => pump() });
  const tags = h('input', { placeholder: 'triage, windows', oninput: () => pump() });
  const said = () => ({ description: description.value.trim(), tags: tags.value.trim() });
  const late = h('button', { onclick: () => describe() });
  const lately = h('div', { class: 'notice warn row', role: 'status', hidden: true }, h('span', {}, 'Files that are in already do not have these words.'), late);
  const add = (/** @type {File[]} */ files) => {
    for (const file of files) {
      const item = new Item(file, largest, said, pump);
      items.push(item);
      list.append(item.element);
    }
    input.value = '';
    pump();
  };
  const pump = () => {
    const running = items.filter((item) => item.state === 'sending').length;
    const next = items.filter((item) => item.state === 'waiting').slice(0, Math.max(0, AT_ONCE - running));
    for (const item of next) item.send().then(pump);
    // Words that came after a file went are for that file too, if one says so.
    const undescribed = items.filter((item) => item.lacks());
    lately.hidden = undescribed.length === 0;
    fill(late, `Describe ${undescribed.length === 1 ? undescribed[0].file.name : `these ${undescribed.length} files`} too`);
    holds(element, items.some((item) => OPEN.includes(item.state)) || undescribed.length > 0, 'Files may still be on their way or wait for an answer, or words are here that no file has yet.');
  };
  const describe = async () => {
    late.disabled = true;
    for (const item of items.filter((one) => one.lacks())) await item.describe();
    late.disabled = false;
    document.dispatchEvent(new CustomEvent('jumpbag-changed'));
    pump();
  };
  const element = dialog('Upload', () => [
    h('div', { class: 'drop' }, icon('upload'), h('p', {}, 'Drop files here, or'),
      h('label', { class: 'button', for: 'upload-files' }, 'choose files'), input,
      h('p', { class: 'small faint' }, `Up to ${size(largest)} each. They are sent at once. A name that is there is replaced only when you say so.`)),
    h('div', { class: 'row' },
      h('label', { class: 'field' }, 'Description, for all of them', description),
      h('label', { class: 'field' }, 'Tags', tags)),
    lately,
    list,
    h('div', { class: 'foot' }, h('button', { onclick: () => leave(element) }, 'Close')),
  ]);
  element.addEventListener('close', () => {
    for (const item of items) item.stop();
    open = null;
  });
  return { element, add };
}

/** What would be lost with the page. */
const OPEN = ['waiting', 'sending', 'patient', 'asked'];

class Item {
  state = 'waiting';
  /** The version that it may replace. @type {string | null} */ replaces = null;
  /** The file as it was stored, and with which words. @type {{ name: string, tag: string, description: string, tags: string } | null} */ stored = null;
  leaving = new AbortController();

  /** @param {File} file @param {number} largest @param {() => { description: string, tags: string }} said @param {() => void} pump */
  constructor(file, largest, said, pump) {
    this.file = file;
    this.said = said;
    this.pump = pump;
    this.bar = h('progress', { max: 1, value: 0, 'aria-label': `Upload of ${file.name}` });
    this.note = h('div', { class: 'small' }, 'Waiting');
    this.cancel = h('button', { class: 'plain', onclick: () => this.stop(), 'aria-label': `Cancel ${file.name}` }, icon('close'));
    this.element = h('li', {},
      h('div', { class: 'head' }, h('strong', {}, file.name), h('span', { class: 'row' }, h('span', { class: 'small faint' }, size(file.size)), this.cancel)),
      this.bar, this.note);
    if (file.size > largest) this.end('refused', `Too large: the library takes ${size(largest)} a file. Nothing was sent.`);
    if (file.size === 0) this.end('refused', 'Empty: a library file has at least one byte. Nothing was sent.');
  }

  async send() {
    this.state = 'sending';
    this.leaving = new AbortController();
    this.show(true);
    fill(this.note, 'Sending');
    const form = new FormData();
    const { description, tags } = this.said();
    if (description) form.append('Description', description);
    if (tags) form.append('Tags', tags);
    form.append('OverrideIfExists', String(this.replaces !== null));
    form.append('file', this.file, this.file.name);
    const headers = this.replaces ? { 'If-Match': this.replaces } : undefined;
    try {
      const { stored, tag } = await upload(form, { progress: (part) => { this.bar.value = part; }, signal: this.leaving.signal, headers });
      this.stored = { name: stored.fileName, tag, description, tags };
      this.end('done', [h('a', { href: `/files/${encodeURIComponent(stored.fileName)}` }, this.replaces ? `Replaced, version ${stored.version}` : 'In the library'), ' ', h('span', { class: 'tag good' }, 'done')]);
      document.dispatchEvent(new CustomEvent('jumpbag-changed'));
    } catch (error) {
      await this.failed(/** @type {any} */ (error)).catch((/** @type {any} */ again) => this.refused(again));
    }
  }

  /** Which words have come since it was stored: what is empty takes nothing away. */
  lacks() {
    const { description, tags } = this.said();
    return this.stored !== null && ((description !== '' && description !== this.stored.description) || (tags !== '' && tags !== this.stored.tags));
  }

  /** Says the words of the dialog about the file that is stored, if nobody else has changed it since. */
  async describe() {
    const { stored } = this;
    if (!stored) return;
    const { description, tags } = this.said();
    const json = { ...(description && { description }), ...(tags && { tags: tags.split(',').map((tag) => tag.trim()).filter(Boolean) }) };
    const place = h('div');
    this.note.append(place);
    try {
      const answer = await call(fileAt(stored.name), { method: 'PATCH', json, headers: { 'If-Match': stored.tag } });
      Object.assign(stored, { tag: answer.headers.get('ETag') ?? '', description: description || stored.description, tags: tags || stored.tags });
      fill(place, 'Described ', h('span', { class: 'tag good' }, 'described'));
    } catch (error) {
      fill(place, wrong(error));
    }
  }

  /** @param {ApiError & { wait?: number }} error */
  async failed(error) {
    if (error.status === 429) return this.wait(Math.min(error.wait || 5, 60));
    if (error.status === 400 && error.message.includes('already exists')) return this.exists();
    this.refused(error);
  }

  /** @param {number} seconds */
  wait(seconds) {
    this.state = 'patient';
    fill(this.note, `The server asks to wait: going on in ${seconds} s`);
    return new Promise((resolve) => {
      const go = () => {
        if (this.state === 'patient') this.state = 'waiting';
        resolve(undefined);
      };
      const timer = setTimeout(go, seconds * 1000);
      this.leaving.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        go();
      });
    });
  }

  /** @param {ApiError} error */
  refused(error) {
    if (error.code === 'Cancelled') return this.end('cancelled', error.message);
    this.end('refused', error.status === 401 ? wrong(error) : error.message);
    if (error.status === 0 || error.status === 401 || error.status >= 500) this.note.append(' ', h('button', { onclick: () => this.later() }, 'Try again'));
  }

  /** Takes its turn again. */
  later() {
    this.note.removeAttribute('role');
    this.state = 'waiting';
    this.pump();
  }

  async exists() {
    const answer = await call(fileAt(this.file.name));
    const there = await answer.json();
    const tag = answer.headers.get('ETag') ?? '';
    this.state = 'asked';
    this.show(false);
    const shown = h('div');
    const replace = () => {
      this.replaces = tag;
      this.later();
    };
    const leave = () => {
      this.end('cancelled', 'Left as it is.');
      this.pump();
    };
    const show = h('button', { onclick: () => this.difference(there).then((found) => fill(shown, found), (error) => fill(shown, wrong(error))) }, 'Show what differs');
    fill(this.note, h('p', {}, `${there.fileName} is in the library already, as version ${there.version}.`),
      h('div', { class: 'row' }, show, h('button', { class: 'main', onclick: replace }, 'Replace it'), h('button', { onclick: leave }, 'Leave it')), shown);
  }

  /** @param {any} there */
  async difference(there) {
    if (Math.max(there.size, this.file.size) > 1 << 20) return 'Too large to be compared here.';
    const theirs = decoded(await (await call(`${fileAt(there.fileName)}/content`)).arrayBuffer());
    const ours = decoded(await this.file.arrayBuffer());
    if (theirs === null || ours === null) return 'One of them is no text.';
    if (theirs === ours) return 'They have the same text.';
    const hunks = lines(theirs, ours);
    return hunks ? diff(hunks, false) : code(this.file.name, ours);
  }

  /** @param {string} state @param {import('../dom.js').Child} words */
  end(state, words) {
    this.state = state;
    this.show(false);
    this.note.className = state === 'refused' ? 'notice bad small' : 'small';
    if (state === 'refused') this.note.setAttribute('role', 'alert');
    fill(this.note, words);
  }

  /** @param {boolean} under whether it is under way */
  show(under) {
    this.bar.hidden = !under;
    this.cancel.hidden = !under;
    if (under) this.note.className = 'small';
  }

  stop() {
    if (this.state === 'sending') this.leaving.abort();
    else if (this.state === 'waiting' || this.state === 'patient') {
      this.end('cancelled', 'Cancelled. Nothing was sent.');
      this.leaving.abort();
      this.pump();
    }
  }
}
