// @ts-check
// One action: what it does, what its scripts say while they run, and what came of it.

import { call, get } from '../api.js';
import { facts, fill, h, icon } from '../dom.js';
import { time } from '../format.js';
import { ask, field } from '../parts/dialog.js';
import { every } from '../parts/live.js';
import { output } from '../parts/output.js';
import { said, toast, wrong } from '../parts/toast.js';
import { View } from '../parts/view.js';
import { STATUS } from './actions.js';

const FINAL = ['Succeeded', 'Failed', 'TimeOut', 'Cancelled'];

export class ActionView extends View {
  /** The card of each command; what is in it changes, and it stays where it is. @type {Map<number, Card>} */ cards = new Map();
  /** What was drawn last. */ drawn = '';
  // What is in these changes; they stay, and so does whoever stands on one.
  top = h('div', { class: 'page' });
  list = h('div', { class: 'page' });
  status = h('span', { role: 'status' });
  stop = h('button', { class: 'danger', onclick: () => this.cancel() }, 'Cancel');
  about = h('div', { class: 'card pad' });

  async connectedCallback() {
    fill(this, h('div', { class: 'page' }, this.top, this.list));
    await this.load();
    every(2000, this.leaving.signal, () => this.load());
  }

  /** Whether something may still happen: a machine ends what it runs a moment after the action is over. */
  open() {
    const { status, commands } = this.action ?? { status: '', commands: [] };
    return !FINAL.includes(status) || commands.some((/** @type {any} */ { commandStatus }) => commandStatus === 'Executing');
  }

  async load() {
    try {
      this.action = await get(`/api/machineactions/${encodeURIComponent(this.subject)}`, { signal: this.leaving.signal });
      this.draw();
    } catch (error) {
      if (this.leaving.signal.aborted) return false;
      // What is there stays: the next look may find more.
      if (this.action) toast(said(error), 6000, 'action');
      else fill(this.top, wrong(error));
    }
    return this.open();
  }

  draw() {
    const { action } = this;
    const now = JSON.stringify(action);
    if (now === this.drawn) return;
    this.drawn = now;
    const running = !FINAL.includes(action.status);
    document.title = `${action.computerDnsName}: ${action.status} · jumpbag`;
    fill(this.status, h('span', { class: `tag ${STATUS[/** @type {'Failed'} */ (action.status)]}` }, action.status));
    this.stop.hidden = !running || !this.may('Machine.LiveResponse');
    fill(this.about, facts([
      ['Asked for', [time(action.creationDateTimeUtc, 'seconds'), ` by ${action.requestor}: ${action.requestorComment}`], 'wide'],
      ['Cancelled', action.cancellationDateTimeUtc && [time(action.cancellationDateTimeUtc, 'seconds'), ` by ${action.cancellationRequestor}: ${action.cancellationComment}`], 'wide'],
    ]));
    if (!this.about.isConnected) {
      fill(this.top,
        h('p', { class: 'small' }, h('a', { href: '/actions' }, 'Actions'), ' / ', action.id),
        h('div', { class: 'head' }, h('div', { class: 'row' }, h('h1', {}, action.computerDnsName), this.status), this.stop),
        this.about);
    }
    for (const command of action.commands) this.command(command);
  }

  /** @param {any} command */
  command(command) {
    let card = this.cards.get(command.index);
    if (!card) {
      card = new Card(command.index, `/api/machineactions/${encodeURIComponent(this.subject)}/commands/${command.index}`);
      this.cards.set(command.index, card);
      this.list.append(card.element);
    }
    card.draw(command);
    if (command.command.type === 'RunScript' && command.startTime && !card.follows) {
      card.follows = true;
      card.element.append(output(command.index, `${card.path}/output`, this.leaving.signal, () => this.load()));
    }
  }

  cancel() {
    ask({
      title: 'Cancel this action?',
      fields: [h('p', {}, 'What runs is ended with all that it started.'), field('Why', h('input', { name: 'comment', required: true }))],
      verb: 'Cancel the action',
      leave: 'Keep it',
      danger: true,
      send: async (form) => {
        await call(`/api/machineactions/${this.action.id}/cancel`, { method: 'POST', json: { Comment: form.get('comment') } });
        await this.load();
      },
    });
  }
}

/** One command of an action. */
class Card {
  follows = false;

  /** @param {number} index @param {string} path */
  constructor(index, path) {
    this.path = path;
    this.head = h('div', { class: 'row' });
    this.result = h('a', { class: 'button', href: `${path}/result`, download: '', 'aria-label': `Result of command ${index}` }, icon('download'), 'Result');
    this.about = h('div');
    this.errors = h('div');
    this.element = h('section', { class: 'card pad page' }, h('div', { class: 'head' }, this.head, this.result), this.about, this.errors);
  }

  /** @param {any} command */
  draw({ command, commandStatus, startTime, endTime, errors, libraryFile, exitCode }) {
    const params = Object.fromEntries(command.params.map((/** @type {any} */ { key, value }) => [key, value]));
    const file = libraryFile && [h('a', { href: `/files/${encodeURIComponent(libraryFile.fileName)}` }, libraryFile.fileName), ` version ${libraryFile.version} `, h('code', { class: 'faint small' }, libraryFile.sha256.slice(0, 12))];
    const tag = { Completed: 'good', Failed: 'bad', Executing: 'warn' }[/** @type {'Failed'} */ (commandStatus)] ?? '';
    const args = params.Args ?? params.ArgsList;
    fill(this.head, h('h2', {}, command.type), h('span', { class: `tag ${tag}` }, commandStatus), exitCode !== null && h('span', { class: 'faint small' }, `exit code ${exitCode}`));
    // A script that failed has a result too: what it said until then.
    this.result.hidden = !(commandStatus === 'Completed' ? command.type !== 'PutFile' : commandStatus === 'Failed' && command.type === 'RunScript' && startTime);
    fill(this.about, facts([
      ['File', file], ['Arguments', args && h('code', {}, args)], ['Path', params.Path && h('code', {}, params.Path)],
      ['Began', startTime && time(startTime, 'seconds')], ['Ended', endTime && time(endTime, 'seconds')],
    ]));
    fill(this.errors, errors.length > 0 && h('div', { class: 'notice bad' }, errors.map((/** @type {string} */ error) => h('p', {}, error))));
    this.errors.hidden = errors.length === 0;
  }
}
