// The log on the screen: turns entries into elements and keeps them in step with the room's log.
// Every text from outside becomes a text node; there is no HTML here.

import { canDiscard } from './client/parlor.js';
import { dress } from './people.js';
import { errorText, lang, t } from './text.js';

/** A message this long after the one before starts a group of its own, in ms. */
const GROUP_MS = 5 * 60_000;

/** Codes after which a copy may be in the room although nobody confirmed it. */
const MAYBE = new Set(['CID_EXPIRED', 'OTHER_USER']);

/**
 * @typedef {import('../client/log.js').Entry} Entry
 * @typedef {import('../client/log.js').Change} Change
 * @typedef {import('../client/outbox.js').Item} Item
 */

const timeFormat = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const fullFormat = new Intl.DateTimeFormat(lang, { dateStyle: 'full', timeStyle: 'medium' });
const dayFormat = new Intl.DateTimeFormat(lang, { weekday: 'long', day: 'numeric', month: 'long' });
const dayYearFormat = new Intl.DateTimeFormat(lang, { dateStyle: 'full' });

export class LogView {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#welcome = make('p', 'line welcome');
    this.#root.append(this.#welcome);
    Object.defineProperty(root, 'value', { get: () => this.text, configurable: true });
  }

  #root;
  #welcome;
  /** @type {Map<Entry, HTMLElement>} in the order shown */
  #shown = new Map();
  /** @type {Entry | undefined} */
  #last = undefined;

  /** @param {string} room */
  set room(room) {
    this.#welcome.textContent = t('welcome', { room });
  }

  /** The log as plain text, a message a line. @returns {string} */
  get text() {
    const lines = [this.#welcome.textContent ?? '', ...[...this.#shown.keys()].map(plain)];
    return lines.map((line) => line.replace(/\s*[\r\n\u2028\u2029]+\s*/g, ' ')).join('\n');
  }

  /**
   * Whether a message that `person` sends now would continue the last group.
   *
   * @param {{id: string, nick: string} | undefined} person
   * @returns {boolean}
   */
  continuesWith(person) {
    return person !== undefined && continues(this.#last, person, new Date());
  }

  /** @param {Change} change */
  apply(change) {
    if (change.reset) {
      this.#shown.clear();
      this.#last = undefined;
      this.#root.replaceChildren(this.#welcome);
    }
    const fragment = document.createDocumentFragment();
    for (const entry of change.added) fragment.append(...this.#render(entry));
    this.#root.append(fragment);
    for (const entry of change.changed) {
      const node = this.#shown.get(entry);
      if (node && entry.type === 'message') fillText(node, entry);
    }
    for (const entry of change.dropped) {
      const node = this.#shown.get(entry);
      this.#shown.delete(entry);
      // A day's line goes with the first message under it.
      if (node?.previousElementSibling?.classList.contains('day')) node.previousElementSibling.remove();
      node?.remove();
    }
    if (change.dropped.length > 0) this.#headFirst();
  }

  /** @param {Entry} entry @returns {HTMLElement[]} */
  #render(entry) {
    const last = this.#last;
    this.#last = entry;
    if (entry.type !== 'message') {
      const line = make('p', `line ${entry.type}`);
      line.textContent = entry.type === 'gap' ? t('gap') : noticeText(entry);
      this.#shown.set(entry, line);
      return [line];
    }
    const nodes = [];
    const date = new Date(entry.ts);
    const lastTs = last && last.type !== 'gap' ? new Date(last.ts) : undefined;
    const newDay = lastTs === undefined || lastTs.toDateString() !== date.toDateString();
    if (newDay) nodes.push(day(date));
    const node = message(entry, date, newDay || !continues(last, entry.from, date));
    this.#shown.set(entry, node);
    return [...nodes, node];
  }

  /** After old entries went, the first one left may be the middle of a group: give it its head. */
  #headFirst() {
    const [first] = this.#shown;
    if (!first || first[0].type !== 'message' || first[1].classList.contains('first')) return;
    const node = message(first[0], new Date(first[0].ts), true);
    first[1].replaceWith(node);
    this.#shown.set(first[0], node);
  }
}

export class OutboxView {
  /**
   * @param {HTMLElement} root
   * @param {{retry: (cid: string) => void, discard: (cid: string) => void}} actions
   */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    // The nodes are made anew whenever something changes, so the buttons share one listener.
    root.addEventListener('click', (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest('button');
      const { cid, action } = button?.dataset ?? {};
      if (cid && action === 'retry') this.#actions.retry(cid);
      if (cid && action === 'discard') this.#actions.discard(cid);
    });
  }

  #root;
  #actions;
  #drawn = '';

  /**
   * @param {Item[]} items
   * @param {{id: string, nick: string} | undefined} me
   * @param {boolean} online
   * @param {boolean} grouped the log above ends with a message of ours
   */
  draw(items, me, online, grouped) {
    const shown = items.map((i) => [i.cid, i.state, i.code, i.notBefore]);
    const state = JSON.stringify([shown, me, online, grouped]);
    if (state === this.#drawn) return;
    this.#drawn = state;
    const nodes = items.map((item, index) => this.#item(item, index === 0 && !grouped, me, online));
    this.#root.replaceChildren(...nodes);
  }

  /**
   * @param {Item} item
   * @param {boolean} first
   * @param {{id: string, nick: string} | undefined} me
   * @param {boolean} online
   */
  #item(item, first, me, online) {
    const node = make('div', `message own ${item.state}${first ? ' first' : ''}`);
    node.dataset.cid = item.cid;
    const avatar = make('span', 'avatar');
    avatar.setAttribute('aria-hidden', 'true');
    if (first && me) dress(avatar, me);
    else avatar.className = 'no-avatar';
    const body = make('div', 'body');
    if (first && me) body.append(nickLine(me.nick));
    const text = make('p', 'text');
    text.dir = 'auto';
    text.textContent = item.text;
    body.append(text);
    const why = reason(item, online);
    if (why) {
      const note = make('p', item.state === 'failed' ? 'note failed' : 'note');
      note.append(why);
      if (item.state === 'failed' || !online) note.append(' ', button('retry', item));
      if (canDiscard(item)) note.append(' ', button('discard', item));
      body.append(note);
    } else if (item.state === 'pending') {
      const hidden = make('span', 'sr-only');
      hidden.textContent = t('pending');
      body.append(hidden);
    }
    node.append(avatar, body);
    return node;
  }
}

/**
 * @param {Entry | undefined} last
 * @param {{id: string, nick: string}} from
 * @param {Date} date
 * @returns {boolean}
 */
function continues(last, from, date) {
  return (
    last?.type === 'message' &&
    last.from.id === from.id &&
    last.from.nick === from.nick &&
    date.getTime() - new Date(last.ts).getTime() < GROUP_MS
  );
}

/** @param {Item} item @param {boolean} online @returns {string} */
function reason(item, online) {
  if (item.state === 'failed') {
    const code = item.code ?? '';
    const maybe = MAYBE.has(code) || (code === 'TIMED_OUT' && item.since !== undefined);
    return t(maybe ? 'maybe' : 'failed', { reason: errorText(code, item.message) });
  }
  if (item.state === 'pending' && !online) return t('waiting_connection');
  if (item.state === 'pending' && item.notBefore !== undefined) return t('waiting_server');
  return '';
}

/** @param {'retry' | 'discard'} action @param {Item} item */
function button(action, item) {
  const node = /** @type {HTMLButtonElement} */ (make('button', 'link'));
  node.type = 'button';
  node.dataset.action = action;
  node.dataset.cid = item.cid;
  node.textContent = t(action);
  return node;
}

/**
 * @param {import('../client/log.js').MessageEntry} entry
 * @param {Date} date
 * @param {boolean} first of its group
 */
function message(entry, date, first) {
  const node = make('div', first ? 'message first' : 'message');
  const body = make('div', 'body');
  const time = make('time', first ? 'time' : 'time sr-only');
  time.setAttribute('datetime', entry.ts);
  if (!Number.isNaN(date.getTime())) {
    time.textContent = timeFormat.format(date);
    time.title = fullFormat.format(date);
    if (!first) node.title = time.title;
  }
  const avatar = make('span', 'no-avatar');
  avatar.setAttribute('aria-hidden', 'true');
  if (first) {
    dress(avatar, entry.from);
    const who = nickLine(entry.from.nick);
    who.append(' ', time);
    body.append(who);
  } else {
    // Read aloud one by one, each message still says whose it is.
    const who = make('span', 'sr-only');
    who.textContent = `${entry.from.nick}: `;
    body.append(who);
  }
  const text = make('p', 'text');
  text.dir = 'auto';
  body.append(text);
  node.append(avatar, body);
  fillText(node, entry);
  return node;
}

/** @param {HTMLElement} node @param {import('../client/log.js').MessageEntry} entry */
function fillText(node, entry) {
  const text = /** @type {HTMLElement} */ (node.querySelector('.text'));
  text.classList.toggle('gone', entry.deleted === true);
  text.textContent = entry.deleted ? t('deleted') : entry.text;
  if (entry.edited && !entry.deleted) {
    const mark = make('small', 'edited');
    mark.textContent = t('edited');
    text.append(' ', mark);
  }
}

/** @param {string} nick */
function nickLine(nick) {
  const who = make('p', 'who');
  const name = make('bdi', 'nick');
  name.textContent = nick;
  who.append(name);
  return who;
}

/** @param {Date} date */
function day(date) {
  const line = make('p', 'line day');
  if (Number.isNaN(date.getTime())) return line;
  const thisYear = date.getFullYear() === new Date().getFullYear();
  line.textContent = (thisYear ? dayFormat : dayYearFormat).format(date);
  return line;
}

/** @param {Entry} entry @returns {string} */
function plain(entry) {
  if (entry.type === 'gap') return t('gap_line');
  if (entry.type === 'notice') return noticeText(entry);
  return `${entry.from.nick}: ${entry.deleted ? t('deleted') : entry.text}`;
}

/** @param {import('../client/log.js').NoticeEntry} entry */
function noticeText(entry) {
  return t('notice', { text: entry.texts?.[lang] ?? entry.texts?.[lang.split('-')[0]] ?? entry.text });
}

/** @param {string} tag @param {string} className @returns {HTMLElement} */
function make(tag, className) {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}
