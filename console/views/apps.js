// @ts-check
// Programs that get tokens here: what they may do, their secrets, and where they send people who sign in to them. Nobody
// is offered to hand out more than they have; the server refuses it anyway.

import { all, call, get } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { counted, time } from '../format.js';
import { command } from '../parts/command.js';
import { ask, dialog, field, holds } from '../parts/dialog.js';
import { plain } from '../parts/table.js';
import { copy, toast, wrong } from '../parts/toast.js';
import { View } from '../parts/view.js';

/** What may be granted, in words, and what else lets do the same. @type {[string, string, string[]][]} */
const PERMISSIONS = [
  ['Library.Read', 'list, read and download files', ['Library.Manage']],
  ['Library.Manage', 'do everything in the library', []],
  ['Audit.Read', 'read the audit log', []],
  ['Machine.Read.All', 'see machines and what ran on them', ['Machine.Read', 'Machine.ReadWrite', 'Machine.ReadWrite.All']],
  ['Machine.ReadWrite.All', 'see machines, and change their tags', ['Machine.ReadWrite']],
  ['Machine.LiveResponse', 'run scripts on machines, as root', []],
  ['Machine.Read', 'see machines in the name of people who sign in', ['Machine.Read.All', 'Machine.ReadWrite', 'Machine.ReadWrite.All']],
  ['Machine.ReadWrite', 'tag machines in the name of people who sign in', ['Machine.ReadWrite.All']],
  ['Application.ReadWrite.All', 'add, change and remove apps', []],
];

/** How long the secrets that are there stay good. */
const KEEP = [['24', 'a day'], ['1', 'an hour'], ['168', 'a week'], ['720', '30 days'], ['', 'as long as now'], ['0', 'not at all: they end at once']];

export class AppsView extends View {
  async connectedCallback() {
    this.count = h('p', { class: 'small faint', role: 'status' });
    this.place = h('div');
    fill(this, h('div', { class: 'page' },
      h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Apps'), this.count), h('button', { class: 'main', onclick: () => this.add() }, 'Add an app')),
      this.place));
    await this.load();
  }

  async load() {
    try {
      const apps = await all('/api/applications', { signal: this.leaving.signal });
      fill(this.count, counted(apps.length, 'app'));
      fill(this.place, h('div', { class: 'card' }, apps.length === 0 ? empty() : this.table(apps)));
    } catch (error) {
      this.tell(this.place, error);
    }
  }

  /** @param {string} permission */
  grants(permission) {
    const others = PERMISSIONS.find(([name]) => name === permission)?.[2] ?? [];
    return [permission, ...others].some((name) => this.may(name));
  }

  /** Whether one may do all that an app may: only then it can be changed. @param {any} app */
  reaches(app) {
    return app.permissions.every((/** @type {string} */ permission) => this.grants(permission));
  }

  /** @param {any[]} apps */
  table(apps) {
    const buttons = (/** @type {any} */ app) => [
      (!app.isPublic || app.passwordCredentials.length > 0) && h('button', { onclick: () => this.secrets(app) }, 'Secrets'), ' ',
      this.reaches(app) && h('button', { onclick: () => this.change(app) }, 'Change'), ' ',
      h('button', { class: 'danger', onclick: () => this.takeOut(app) }, 'Remove')];
    return plain('Apps', ['App and client id', 'Permissions', 'Added', 'Secrets', ''], apps.map((app) => [
      [h('strong', {}, app.displayName), h('div', {}, h('code', { class: 'faint' }, app.appId))],
      [app.permissions.map((/** @type {string} */ permission) => h('div', {}, h('span', { class: 'tag' }, permission))),
        !this.reaches(app) && h('div', { class: 'small faint' }, 'may do more than you')],
      [time(app.createdDateTime), app.expirationDateTime && h('div', { class: 'small' }, 'ends ', ends(app.expirationDateTime))],
      proof(app), buttons(app)]));
  }

  /** The fields of a new app, or of one that is there. @param {any} [app] */
  fields(app) {
    const own = (app?.permissions ?? []).filter((/** @type {string} */ name) => !PERMISSIONS.some(([known]) => known === name));
    const offered = [...PERMISSIONS.filter(([name]) => this.grants(name)), ...own.map((/** @type {string} */ name) => [name, '', []])];
    const boxes = offered.map(([name, words]) => h('label', { class: 'check' },
      h('input', { type: 'checkbox', name: 'permission', value: name, checked: app?.permissions.includes(name) }), h('span', {}, h('code', {}, name), words && ` – ${words}`)));
    return [
      field('Name, which the library shows as the author of what it uploads', h('input', { name: 'name', required: true, maxlength: 256, autocomplete: 'off', value: app?.displayName })),
      h('fieldset', {}, h('legend', { class: 'small' }, 'Permissions'), h('p', { class: 'small faint' }, 'Only what you may do yourself can be given.'), h('div', { class: 'items' }, boxes)),
      field('Ends on this day (UTC); empty: never', h('input', { name: 'ends', type: 'date', value: app?.expirationDateTime?.slice(0, 10) })),
      !app && h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'public' }), 'It can keep no secret: an app in a browser or on people’s machines, which they sign in to'),
      field('Addresses that people come back to after signing in to it, one a line', h('textarea', { name: 'redirects', value: app?.redirectUris.join('\n'), spellcheck: 'false' })),
    ];
  }

  add() {
    ask({
      title: 'Add an app',
      fields: this.fields(),
      verb: 'Add',
      send: async (form) => {
        const json = { ...said(form), expirationDateTime: form.get('ends') || null, isPublic: form.get('public') !== null };
        const made = await (await call('/api/applications', { method: 'POST', json })).json();
        await this.load();
        return () => once(made, made.secretText);
      },
    });
  }

  /** @param {any} app */
  change(app) {
    ask({
      title: `Change ${app.displayName}`,
      fields: [h('p', {}, 'What is taken away counts no more within a second, for tokens it has already too.'), this.fields(app)],
      verb: 'Save',
      send: async (form) => {
        const json = /** @type {Record<string, unknown>} */ (said(form));
        const day = String(form.get('ends'));
        // A day is less than was said with a time: it is sent only when it is another one.
        if (day !== (app.expirationDateTime?.slice(0, 10) ?? '')) json.expirationDateTime = day || null;
        await call(at(app), { method: 'PATCH', json });
        toast(`${form.get('name')} is changed.`);
        await this.load();
      },
    });
  }

  /** @param {any} app */
  takeOut(app) {
    ask({
      title: `Remove ${app.displayName}?`,
      fields: h('p', {}, 'It is out within a second, with every token it holds, and for good: its client id is never free again.'),
      verb: 'Remove',
      danger: true,
      send: async () => {
        await call(at(app), { method: 'DELETE' });
        toast(`${app.displayName} is removed.`);
        await this.load();
      },
    });
  }

  /** The secrets of an app, and a new one. @param {any} app */
  secrets(app) {
    const list = h('div');
    this.list(list, app);
    const title = `Secrets of ${app.displayName}`;
    if (app.isPublic || !this.reaches(app)) {
      dialog(title, (close) => [list, h('div', { class: 'foot' }, h('button', { onclick: close }, 'Close'))]);
      return;
    }
    const keep = h('select', { name: 'keep' }, KEEP.map(([value, words]) => h('option', { value }, words)));
    ask({
      title,
      fields: [list, field('When there is a new one, those that are there stay good', keep)],
      verb: 'Make a new secret',
      leave: 'Close',
      send: async (form) => {
        const hours = form.get('keep');
        const json = hours === '' ? {} : { keepOldHours: Number(hours) };
        const made = await (await call(`${at(app)}/addPassword`, { method: 'POST', json })).json();
        await this.load();
        return () => once(app, made.secretText);
      },
    });
  }

  /** @param {HTMLElement} place @param {any} app */
  list(place, app) {
    const remove = (/** @type {any} */ secret) => ask({
      title: 'Remove this secret?',
      fields: h('p', {}, 'Nobody gets a token with it any more. Tokens that it got already stay good until they expire.'),
      verb: 'Remove',
      danger: true,
      send: async () => {
        await call(`${at(app)}/removePassword`, { method: 'POST', json: { keyId: secret.keyId } });
        this.list(place, await get(at(app)));
        await this.load();
      },
    });
    const secrets = app.passwordCredentials;
    fill(place, secrets.length === 0 ? h('p', {}, 'It has no secret.') : h('ul', { class: 'items' }, secrets.map((/** @type {any} */ secret) => h('li', {},
      h('div', { class: 'head' }, h('span', {}, 'made ', time(secret.startDateTime), ', ends ', ends(secret.endDateTime)),
        h('button', { type: 'button', class: 'danger', onclick: () => remove(secret) }, 'Remove'))))));
  }
}

function empty() {
  return h('div', { class: 'empty' }, h('h2', {}, 'No app is registered yet'),
    h('p', {}, 'An app is a program that works here by itself, such as a playbook, or that people sign in to. Add one and say what it may do; what is shown then, tenant, client id and secret, goes into its settings.'));
}

/** The path of an app. @param {{ appId: string }} app */
const at = (app) => `/api/applications/${encodeURIComponent(app.appId)}`;

/** What adding and changing have in common. @param {FormData} form */
function said(form) {
  const permissions = form.getAll('permission');
  if (permissions.length === 0) throw new Error('Tick one permission or more: an app that may do nothing gets no token.');
  return { displayName: form.get('name'), permissions, redirectUris: String(form.get('redirects')).split('\n').map((line) => line.trim()).filter(Boolean) };
}

/** @param {string | null} when */
function ends(when) {
  if (!when) return h('span', { class: 'faint' }, 'never');
  return Date.parse(when) > Date.now() ? time(when) : h('span', { class: 'tag warn' }, 'ended ', time(when));
}

/** @param {any} app */
function proof(app) {
  const good = app.passwordCredentials.filter((/** @type {any} */ { endDateTime }) => !endDateTime || Date.parse(endDateTime) > Date.now());
  const parts = [good.length > 0 && counted(good.length, 'secret'), app.keyCredentials.length > 0 && counted(app.keyCredentials.length, 'certificate')].filter(Boolean);
  return parts.join(', ') || (app.isPublic ? 'people sign in' : h('span', { class: 'tag warn' }, 'no secret'));
}

/** What an app's settings need. The secret is in no other place. @param {any} app @param {string | null} secret */
function once(app, secret) {
  const fact = (/** @type {string} */ name, /** @type {string} */ value) => [h('dt', {}, name), h('dd', {}, h('code', {}, value),
    h('button', { class: 'plain', 'aria-label': `Copy: ${name}`, onclick: () => copy(name, value) }, icon('copy')))];
  const element = dialog(`Settings of ${app.displayName}`, (close) => [
    secret ? h('p', { class: 'notice warn' }, 'The secret is shown only now. Put it where the app finds it before you close this.') : h('p', {}, 'It needs no secret.'),
    h('dl', { class: 'facts' }, fact('Tenant', app.tenantId), fact('Client id', app.appId), secret && fact('Client secret', secret)),
    h('p', { class: 'small faint' }, 'Its tokens come from ', h('code', {}, `${location.origin}/${app.tenantId}/oauth2/v2.0/token`)),
    secret && [h('p', {}, 'To try it in a shell:'), command(curl(app, secret), 'Copy: curl')],
    h('div', { class: 'foot' }, h('button', { class: 'main', onclick: close }, 'Done'))]);
  holds(element, secret !== null, 'The secret is shown only now. Once this is closed, nobody can read it again.');
}

/** A token for an app, and a first call with it where it may list the library. @param {any} app @param {string} secret */
const curl = (app, secret) => [
  `TOKEN=$(curl -s ${location.origin}/${app.tenantId}/oauth2/v2.0/token -d grant_type=client_credentials -d client_id=${app.appId} -d client_secret=${secret} -d scope=${location.origin}/.default | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`,
  app.permissions.some((/** @type {string} */ name) => name.startsWith('Library.')) ? `curl -s ${location.origin}/api/libraryfiles -H "Authorization: Bearer $TOKEN"` : 'echo "$TOKEN"',
].join('\n');
