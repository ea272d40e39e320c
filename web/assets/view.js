// The log on the screen: keeps elements in step with the entries of the room's log, wherever in it they
// come and go.

import { make, makeButton } from './dom.js';
import { messageNode, setContent, setHead } from './message.js';
import { lang, t } from './text.js';

/** A message this long after the one before starts a group of its own, in ms. */
const GROUP_MS = 5 * 60_000;

/**
 * @typedef {import('../client/entries.js').Entry} Entry
 * @typedef {import('../client/entries.js').Change} Change
 * @typedef {import('../client/message.js').MessageEntry} MessageEntry
 * @typedef {import('../client/log.js').RoomLog} RoomLog
 * @typedef {import('./message.js').Wish} Wish
 *
 * @typedef {{node: HTMLElement, first?: boolean, day?: HTMLElement}} Shown
 */

const dayFormat = new Intl.DateTimeFormat(lang, { weekday: 'long', day: 'numeric', month: 'long' });
const dayYearFormat = new Intl.DateTimeFormat(lang, { dateStyle: 'full' });

export class LogView {
  /** @param {HTMLElement} root @param {RoomLog} log */
  constructor(root, log) {
    this.#root = root;
    this.#log = log;
    this.#welcome = make('p', 'line welcome');
    this.#root.append(this.#welcome);
    Object.defineProperty(root, 'value', { get: () => this.text, configurable: true });
  }

  #root;
  #log;
  #welcome;
  /** @type {Map<Entry, Shown>} */
  #shown = new Map();
  /** @type {WeakMap<Node, Entry>} */
  #entries = new WeakMap();
  /** By target. @type {Map<number, Wish>} */
  #wishes = new Map();

  /** @param {string} room */
  set room(room) {
    this.#welcome.textContent = t('welcome', { room });
  }

  /** The log as plain text, a message a line; what is deleted is left out. @returns {string} */
  get text() {
    const shown = this.#log.entries.filter((entry) => entry.type !== 'message' || !entry.deleted);
    const lines = [this.#welcome.textContent ?? '', ...shown.map(plain)];
    return lines.map((line) => line.replace(/\s*[\r\n\u2028\u2029]+\s*/g, ' ')).join('\n');
  }

  /** @param {Entry} entry @returns {HTMLElement | undefined} */
  nodeOf(entry) {
    return this.#shown.get(entry)?.node;
  }

  /** The entry that an element is a part of. @param {Element | null} element @returns {Entry | undefined} */
  entryOf(element) {
    const node = element?.closest('#chat-log > *');
    return node ? this.#entries.get(node) : undefined;
  }

  /** The wish for a message, if there is one. @param {number} seq */
  wishFor(seq) {
    return this.#wishes.get(seq);
  }

  /**
   * Whether a message that `person` sends now would continue the last group.
   *
   * @param {{id: string, nick: string} | undefined} person
   * @returns {boolean}
   */
  continuesWith(person) {
    return person !== undefined && continues(this.#log.entries.at(-1), person, new Date());
  }

  /** @param {Change} change */
  apply(change) {
    const { entries } = this.#log;
    if (change.reset) {
      this.#shown.clear();
      this.#root.replaceChildren(this.#welcome);
    }
    for (const entry of change.removed) this.#drop(entry);
    const onlyNews = !change.reset && change.inserted.length === 0 && change.removed.length === 0;
    this.#arrange(onlyNews ? entries.length - change.added.length : 0);
    for (const entry of change.changed) this.#fill(entry);
    // Where there is more above, the welcome waits at the beginning.
    this.#welcome.hidden = this.#log.hasOlder;
  }

  /** Shows what we have asked for and not been told yet. @param {Map<number, Wish>} wishes */
  wish(wishes) {
    const seqs = new Set([...this.#wishes.keys(), ...wishes.keys()]);
    this.#wishes = wishes;
    for (const seq of seqs) {
      const entry = this.#log.find(seq);
      if (entry) this.#fill(entry);
    }
  }

  /** Puts every entry from an index on in its place, with a head and a day where they belong. @param {number} from */
  #arrange(from) {
    const { entries } = this.#log;
    let last = entries[from - 1];
    let next = (last ? this.nodeOf(last) : this.#welcome)?.nextSibling ?? null;
    for (const entry of entries.slice(from)) {
      const shown = this.#shown.get(entry) ?? this.#make(entry);
      const newDay = entry.type === 'message' && !sameDay(last, entry);
      if (newDay && !shown.day) shown.day = day(new Date(entry.ts));
      if (!newDay && shown.day) {
        if (shown.day === next) next = next.nextSibling;
        shown.day.remove();
        shown.day = undefined;
      }
      for (const node of shown.day ? [shown.day, shown.node] : [shown.node]) {
        if (node === next) next = node.nextSibling;
        else this.#root.insertBefore(node, next);
      }
      if (entry.type === 'message') {
        const first = newDay || !continues(last, entry.from, new Date(entry.ts));
        if (shown.first !== first) setHead(shown.node, entry, first);
        shown.first = first;
      }
      last = entry;
    }
  }

  /** @param {Entry} entry @returns {Shown} */
  #make(entry) {
    const shown = { node: entry.type === 'message' ? messageNode(entry) : line(entry) };
    this.#shown.set(entry, shown);
    this.#entries.set(shown.node, entry);
    this.#fill(entry);
    return shown;
  }

  /** @param {Entry} entry */
  #fill(entry) {
    const node = this.nodeOf(entry);
    if (!node || entry.type !== 'message') return;
    const isMine = (/** @type {string} */ emoji) => this.#log.isMine(entry.seq, emoji);
    setContent(node, entry, isMine, this.#wishes.get(entry.seq));
  }

  /** @param {Entry} entry */
  #drop(entry) {
    const shown = this.#shown.get(entry);
    shown?.day?.remove();
    shown?.node.remove();
    this.#shown.delete(entry);
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

/** @param {Entry | undefined} last @param {MessageEntry} entry */
function sameDay(last, entry) {
  if (last === undefined || last.type === 'gap') return false;
  return new Date(last.ts).toDateString() === new Date(entry.ts).toDateString();
}

/** @param {Date} date */
function day(date) {
  const node = make('p', 'line day');
  if (Number.isNaN(date.getTime())) return node;
  const thisYear = date.getFullYear() === new Date().getFullYear();
  node.textContent = (thisYear ? dayFormat : dayYearFormat).format(date);
  return node;
}

/** @param {Exclude<Entry, MessageEntry>} entry */
function line(entry) {
  if (entry.type === 'notice') return make('p', 'line notice', noticeText(entry));
  const node = make('div', 'line gap');
  node.append(make('span', '', t('gap')), makeButton('link', t('gap_load'), { action: 'fill' }));
  return node;
}

/** @param {Entry} entry @returns {string} */
function plain(entry) {
  if (entry.type === 'gap') return t('gap_line');
  if (entry.type === 'notice') return noticeText(entry);
  return `${entry.from.nick}: ${entry.text}`;
}

/** @param {import('../client/entries.js').NoticeEntry} entry */
function noticeText(entry) {
  return t('notice', { text: entry.texts?.[lang] ?? entry.texts?.[lang.split('-')[0]] ?? entry.text });
}
