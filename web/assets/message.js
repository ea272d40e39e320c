// How one message looks. The parts are filled one by one, so that what has not changed keeps its element:
// focus, selection and the reader's place hang on it.

import { make, makeButton, nickLine } from './dom.js';
import { dress } from './people.js';
import { lang, t } from './text.js';

const timeFormat = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const fullFormat = new Intl.DateTimeFormat(lang, { dateStyle: 'full', timeStyle: 'medium' });

/**
 * @typedef {import('../client/message.js').MessageEntry} MessageEntry
 *
 * What we have asked for and not been told yet.
 * @typedef {{text?: string, deleted?: boolean, reactions: Map<string, boolean>}} Wish
 */

/** @param {MessageEntry} entry @returns {HTMLElement} */
export function messageNode(entry) {
  const node = make('div', 'message');
  node.dataset.seq = String(entry.seq);
  const text = make('p', 'text');
  text.dir = 'auto';
  const body = make('div', 'body');
  body.append(make('span'), text);
  // What a message can do is no news: it must not be read aloud with it.
  const tools = make('div', 'tools');
  tools.setAttribute('aria-live', 'off');
  node.append(make('span'), body, tools);
  return node;
}

/**
 * Gives a message its head, or none if it continues a group.
 *
 * @param {HTMLElement} node
 * @param {MessageEntry} entry
 * @param {boolean} first of its group
 */
export function setHead(node, entry, first) {
  node.classList.toggle('first', first);
  const date = new Date(entry.ts);
  const isDate = !Number.isNaN(date.getTime());
  const avatar = make('span', 'no-avatar');
  avatar.setAttribute('aria-hidden', 'true');
  const time = make('time', first ? 'time' : 'time sr-only', isDate ? timeFormat.format(date) : '');
  time.setAttribute('datetime', entry.ts);
  if (isDate) time.title = fullFormat.format(date);
  node.title = first ? '' : time.title;
  let who;
  if (first) {
    dress(avatar, entry.from);
    who = nickLine(entry.from.nick);
    who.append(' ', time);
  } else {
    // Read aloud one by one, each message still says whose it is.
    who = make('span', 'sr-only', `${entry.from.nick}: `);
  }
  node.children[0].replaceWith(avatar);
  node.children[1].children[0].replaceWith(who);
}

/**
 * Shows a message as it is, or as we wish it to be.
 *
 * @param {HTMLElement} node
 * @param {MessageEntry} entry
 * @param {(emoji: string) => boolean} isMine
 * @param {Wish} [wish]
 */
export function setContent(node, entry, isMine, wish) {
  const deleted = entry.deleted || wish?.deleted === true;
  const text = /** @type {HTMLElement} */ (node.querySelector('.text'));
  const words = deleted ? t('deleted') : (wish?.text ?? entry.text);
  const wished = !entry.deleted && (wish?.deleted === true || wish?.text !== undefined);
  node.classList.toggle('pending', wished);
  text.classList.toggle('gone', deleted);
  text.textContent = words;
  if (wished) text.append(' ', make('small', 'edited', t('saving')));
  else if (entry.edited && !deleted) text.append(' ', make('small', 'edited', t('edited')));
  setReactions(/** @type {HTMLElement} */ (text.parentElement), deleted ? [] : reactionsOf(entry, isMine, wish));
  setTools(/** @type {HTMLElement} */ (node.lastElementChild), entry, deleted);
}

/**
 * The chips under a message, as we wish them to be.
 *
 * @param {MessageEntry} entry
 * @param {(emoji: string) => boolean} isMine
 * @param {Wish} [wish]
 * @returns {{emoji: string, count: number, mine: boolean}[]}
 */
export function reactionsOf(entry, isMine, wish) {
  const emojis = new Set([...entry.reactions.keys(), ...(wish?.reactions.keys() ?? [])]);
  const chips = [...emojis].map((emoji) => {
    const count = entry.reactions.get(emoji) ?? 0;
    const mine = isMine(emoji);
    const wished = wish?.reactions.get(emoji) ?? mine;
    return { emoji, mine: wished, count: count + Number(wished) - Number(mine) };
  });
  return chips.filter(({ count }) => count > 0);
}

/** @param {HTMLElement} body @param {ReturnType<typeof reactionsOf>} chips */
function setReactions(body, chips) {
  let list = body.querySelector('.reactions');
  if (chips.length === 0) {
    list?.remove();
    return;
  }
  if (!list) {
    list = make('div', 'reactions');
    list.setAttribute('role', 'group');
    list.setAttribute('aria-label', t('reactions'));
    list.setAttribute('aria-live', 'off');
    body.append(list);
  }
  const old = new Map([...list.children].map((node) => [/** @type {HTMLElement} */ (node).dataset.emoji, node]));
  const nodes = chips.map(({ emoji, count, mine }) => {
    const chip = /** @type {HTMLElement} */ (old.get(emoji) ?? makeButton('chip', '', { emoji }));
    chip.tabIndex = -1; // reached with the arrow keys, see actions.js
    chip.setAttribute('aria-pressed', String(mine));
    if (chip.textContent !== `${emoji} ${count}`) chip.replaceChildren(make('span', 'emoji', emoji), ` ${count}`);
    return chip;
  });
  for (const node of old.values()) if (!nodes.includes(/** @type {HTMLElement} */ (node))) node.remove();
  for (const [index, node] of nodes.entries()) {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  }
}

/** @param {HTMLElement} tools @param {MessageEntry} entry @param {boolean} deleted */
function setTools(tools, entry, deleted) {
  if (deleted) {
    tools.replaceChildren();
    return;
  }
  if (tools.firstElementChild) return;
  const more = makeButton('more', '⋯');
  more.tabIndex = -1;
  more.setAttribute('aria-haspopup', 'menu');
  const date = new Date(entry.ts);
  const time = Number.isNaN(date.getTime()) ? '' : timeFormat.format(date);
  more.setAttribute('aria-label', t('actions', { nick: entry.from.nick, time }));
  tools.append(more);
}
