// @ts-check
// One action: what it does, what its scripts say while they run, and what came of it.

import { call, get } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { time } from '../format.js';
import { dialog } from '../parts/dialog.js';
import { wrong } from '../parts/toast.js';
import { STATUS } from './actions.js';

/** Characters of a command's output that are kept on the page. */
const SHOWN = 500_000;
const FINAL = ['Succeeded', 'Failed', 'TimeOut', 'Cancelled'];

export class ActionView extends HTMLElement {
  subject = '';
  /** @type {(permission: string) => boolean} */ may = () => false;
  leaving = new AbortController();
  /** @type {Map<number, any>} what the commands said */ outputs = new Map();

  async connectedCallback() {
    await this.load();
    const timer = setInterval(() => {
      if (FINAL.includes(this.action?.status)) clearInterval(timer);
      else this.load();
    }, 2000);
    this.leaving.signal.addEventListener('abort', () => clearInterval(timer));
  }

  disconnectedCallback() {
    this.leaving.abort();
  }

  async load() {
    try {
      this.action = await get(`/api/machineactions/${encodeURIComponent(this.subject)}`, { signal: this.leaving.signal });
      this.draw();
    } catch (error) {
      if (!this.leaving.signal.aborted) fill(this, wrong(error));
    }
  }

  draw() {
    const action = this.action;
    const running = !FINAL.includes(action.status);
    document.title = `${action.computerDnsName}: ${action.status} · jumpbag`;
    fill(this, h('div', { class: 'page' },
      h('p', { class: 'small' }, h('a', { href: '/actions' }, 'Actions'), ' / ', action.id),
      h('div', { class: 'head' },
        h('h1', {}, action.computerDnsName, ' ', h('span', { class: `tag ${STATUS[/** @type {'Failed'} */ (action.status)]}`, role: 'status' }, action.status)),
        running && this.may('Machine.LiveResponse') && h('button', { class: 'danger', onclick: () => this.cancel() }, 'Cancel')),
      h('div', { class: 'card pad' }, h('dl', { class: 'facts' },
        h('dt', {}, 'Asked for'), h('dd', {}, time(action.creationDateTimeUtc), ` by ${action.requestor}: ${action.requestorComment}`),
        action.cancellationDateTimeUtc && [h('dt', {}, 'Cancelled'), h('dd', {}, time(action.cancellationDateTimeUtc), ` by ${action.cancellationRequestor}: ${action.cancellationComment}`)])),
      action.commands.map((/** @type {any} */ command) => this.command(command))));
  }

  /** @param {any} command */
  command({ index, command, commandStatus, startTime, endTime, errors, libraryFile, exitCode }) {
    const params = Object.fromEntries(command.params.map((/** @type {any} */ { key, value }) => [key, value]));
    const file = libraryFile && [h('a', { href: `/files/${encodeURIComponent(libraryFile.fileName)}` }, libraryFile.fileName), ` version ${libraryFile.version} `, h('code', { class: 'faint small' }, libraryFile.sha256.slice(0, 12))];
    const done = commandStatus === 'Completed' || commandStatus === 'Failed';
    const tag = { Completed: 'good', Failed: 'bad', Executing: 'warn' }[/** @type {'Failed'} */ (commandStatus)] ?? '';
    return h('section', { class: 'card pad page' },
      h('div', { class: 'head' }, h('h2', {}, command.type, ' ', h('span', { class: `tag ${tag}` }, commandStatus), exitCode !== null && h('span', { class: 'faint small' }, ` exit code ${exitCode}`)),
        done && command.type !== 'PutFile' && h('a', { class: 'button', href: `/api/machineactions/${this.action.id}/commands/${index}/result`, download: '' }, icon('download'), 'Result')),
      h('dl', { class: 'facts' },
        file && [h('dt', {}, 'File'), h('dd', {}, file)], params.Args && [h('dt', {}, 'Arguments'), h('dd', {}, h('code', {}, params.Args))], params.Path && [h('dt', {}, 'Path'), h('dd', {}, h('code', {}, params.Path))],
        startTime && [h('dt', {}, 'Began'), h('dd', {}, time(startTime))], endTime && [h('dt', {}, 'Ended'), h('dd', {}, time(endTime))]),
      errors.length > 0 && h('div', { class: 'notice bad' }, errors.map((/** @type {string} */ error) => h('p', {}, error))),
      command.type === 'RunScript' && startTime && this.output(index));
  }

  /** What a script says, followed while it runs; the element outlives each drawing of the page. @param {number} index */
  output(index) {
    const known = this.outputs.get(index);
    if (known) return known;
    const text = h('div', { class: 'code', tabindex: 0, role: 'log', 'aria-label': `Output of command ${index}` });
    this.outputs.set(index, text);
    const source = new EventSource(`/api/machineactions/${encodeURIComponent(this.subject)}/commands/${index}/output`);
    let [open, count] = [/** @type {any} */ (null), 0];
    const said = (/** @type {MessageEvent} */ event) => {
      const { text: piece, base64 } = JSON.parse(event.data);
      const words = piece ?? atob(base64);
      if (count > SHOWN) return;
      count += words.length;
      const parts = words.split('\n');
      const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 40;
      for (const [at, part] of parts.entries()) {
        if (at > 0 || !open || open.kind !== event.type) {
          if (at === parts.length - 1 && part === '') {
            open = null;
            break;
          }
          const line = h('span', { class: event.type === 'stderr' ? 'k' : null });
          text.append(h('div', { class: 'line' }, line));
          open = { kind: event.type, line };
        }
        open.line.append(part);
        if (at < parts.length - 1) open = null;
      }
      if (count > SHOWN) text.append(h('div', { class: 'line' }, h('span', { class: 'c' }, 'There is more: the result has all of it.')));
      if (atEnd) text.scrollTop = text.scrollHeight;
    };
    source.addEventListener('stdout', said);
    source.addEventListener('stderr', said);
    source.addEventListener('end', () => {
      source.close();
      if (count === 0) text.append(h('div', { class: 'line' }, h('span', { class: 'c' }, 'It said nothing.')));
      this.load();
    });
    this.leaving.signal.addEventListener('abort', () => source.close());
    return text;
  }

  cancel() {
    const comment = h('input', { required: true });
    const problem = h('div');
    const element = dialog('Cancel this action?', (close) => h('form', { onsubmit: async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      try {
        await call(`/api/machineactions/${this.action.id}/cancel`, { method: 'POST', json: { Comment: comment.value } });
        element.close();
        await this.load();
      } catch (error) {
        fill(problem, wrong(error));
      }
    } },
    h('p', {}, 'What runs is ended with all that it started.'), h('label', { class: 'field' }, 'Why', comment), problem,
    h('div', { class: 'foot' }, h('button', { type: 'button', onclick: close }, 'Keep it'), h('button', { class: 'danger', type: 'submit' }, 'Cancel the action'))));
  }
}
