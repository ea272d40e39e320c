// The page of one room: wires the client to the parts of the page. Protocol is client/, drawing is view.js,
// what to fetch is reader.js.

import { Actions } from './actions.js';
import { Parlor, roomFromPath } from './client/parlor.js';
import { Composer } from './composer.js';
import { NICK, nickDialog } from './nick.js';
import { OutboxView, wishesOf } from './outbox-view.js';
import { Place } from './place.js';
import { Reader } from './reader.js';
import { showBar, showNote, showStatus } from './status.js';
import { kept, parseList, tab } from './storage.js';
import { element, errorText, lang, t } from './text.js';
import { LogView } from './view.js';

const TOKEN = 'parlor.token';

const asked = roomFromPath(location.pathname);
if (asked === null) {
  element('room-name').textContent = 'Parlor';
  element('chat-message-input').setAttribute('disabled', '');
  element('chat-message-submit').setAttribute('disabled', '');
  showBar(t('bad_path'), { link: t('choose_room') });
} else {
  start(asked);
}

/** @param {string} roomName */
function start(roomName) {
  const client = connect();
  const room = client.join(roomName);
  const logElement = element('chat-log');
  const place = new Place(element('scroller'), logElement);
  const view = new LogView(logElement, room.log);
  const reader = new Reader(room, place, view, { older: element('older'), status: element('load-status') });
  let editWindowMs = Infinity;
  /** What the first join brought is in the page. */
  let inRoom = false;

  // ---- what is shown ----

  const jump = element('jump');
  let unseen = 0;
  function showName() {
    element('room-name').textContent = room.name;
    view.room = room.name;
    composer.room = room.name;
    showTitle();
  }
  function showTitle() {
    const values = { n: unseen, room: room.name };
    document.title = unseen > 0 ? t('title_new', values) : t('title', values);
  }
  function showOnline() {
    element('online').textContent = room.online === undefined ? '' : t('online', { n: room.online });
  }
  /** The way to the end, when it is far or there is news. */
  function showJump() {
    if (place.atEnd && !reader.cutOff && !document.hidden) unseen = 0;
    jump.hidden = place.atEnd ? !reader.cutOff : unseen === 0 && !reader.cutOff && place.below < 2 * place.height;
    const words = unseen > 0 ? t('new_messages', { n: unseen }) : t('latest');
    if (jump.textContent !== words) jump.textContent = words;
    showTitle();
  }
  function drawOutbox() {
    place.keep(() => {
      view.wish(wishesOf(room.outbox.items));
      outboxView.draw(room.outbox.items, client.me, client.status.state === 'online', view.continuesWith(client.me));
    });
  }
  /** From the next message on. */
  function readAloud() {
    setTimeout(() => {
      inRoom = true;
      logElement.setAttribute('aria-live', 'polite');
    });
  }
  function drawStatus() {
    showStatus(client, room);
    drawOutbox();
    composer.disabled = room.error !== undefined;
  }

  // ---- what can be done ----

  const isOwn = (/** @type {import('../client/message.js').MessageEntry} */ entry) =>
    entry.from.id === client.me?.id && !entry.deleted && !view.wishFor(entry.seq)?.deleted;
  const canEdit = (/** @type {import('../client/message.js').MessageEntry} */ entry) =>
    isOwn(entry) && Date.now() - new Date(entry.ts).getTime() < editWindowMs;
  const composer = new Composer({
    send: (text) => {
      room.send(text);
      reader.toEnd();
    },
    edit: (entry, text) => room.edit(entry.seq, text),
    remove: (entry) => actions.confirmDelete(entry),
    lastOwn: () => room.log.entries.findLast((entry) => entry.type === 'message' && canEdit(entry)),
    textOf: (entry) => view.wishFor(entry.seq)?.text ?? entry.text,
    editing: (entry) => {
      for (const node of logElement.querySelectorAll('.editing')) node.classList.remove('editing');
      const node = entry && view.nodeOf(entry);
      node?.classList.add('editing');
      node?.scrollIntoView({ block: 'nearest' });
    },
    keep: (change) => place.keep(change),
  });
  const actions = new Actions(logElement, {
    messageOf: (node) => {
      const entry = view.entryOf(node);
      return entry?.type === 'message' ? entry : undefined;
    },
    isMine: (entry, emoji) => view.wishFor(entry.seq)?.reactions.get(emoji) ?? room.log.isMine(entry.seq, emoji),
    canEdit,
    canDelete: isOwn,
    react: (entry, emoji, on) => room.react(entry.seq, emoji, on),
    edit: (entry) => composer.startEditing(entry),
    remove: (entry) => room.remove(entry.seq),
  });
  const outboxView = new OutboxView(element('outbox'), {
    retry: (cid) => {
      if (client.status.state === 'waiting') client.reconnectNow();
      room.retry(cid);
      composer.focus();
    },
    discard: (cid) => {
      room.discard(cid);
      composer.focus();
    },
  });
  nickDialog(client);

  // ---- what the client tells ----

  client.on('token', (token) => kept.set(TOKEN, token));
  client.on('limits', (limits) => {
    if (Number.isInteger(limits.text)) composer.limit = limits.text;
    if (Number.isInteger(limits.edit_window_ms)) editWindowMs = limits.edit_window_ms;
  });
  client.on('joined', () => {
    showName();
    showOnline();
    drawStatus();
  });
  client.on('online', showOnline);
  client.on('log', ({ change }) => {
    // What the first join and history bring is neither news nor something to read aloud.
    const news = inRoom && !change.reset && change.added.length > 0;
    if (!news && change.added.length + change.inserted.length > 0) {
      logElement.setAttribute('aria-live', 'off');
      readAloud();
    }
    const end = place.keep(() => view.apply(change), reader.pin);
    const fromOthers = change.added.filter((e) => e.type === 'message' && e.from.id !== client.me?.id);
    if (news && (!end || document.hidden)) unseen += fromOthers.length;
    actions.update();
    composer.update((seq) => room.log.find(seq));
    showJump();
    reader.look();
  });
  client.on('joined', () => {
    readAloud();
    // After what came with it is in the page.
    setTimeout(() => reader.joined());
  });
  client.on('outbox', drawOutbox);
  client.on('me', drawOutbox);
  client.on('status', drawStatus);
  client.on('roomError', drawStatus);
  client.on('removed', drawStatus);
  client.on('notice', (notice) => {
    if (!notice.room || notice.room === room) showNote(t('notice', { text: notice.text }));
  });
  client.on('error', (error) => showNote(errorText(error.code, error.message)));

  // ---- what the reader does ----

  element('scroller').addEventListener('scroll', () => {
    showJump();
    reader.look();
  }, { passive: true });
  jump.addEventListener('click', () => {
    reader.toEnd();
    composer.focus();
  });
  logElement.addEventListener('click', (event) => {
    const button = /** @type {Element} */ (event.target).closest('[data-action=fill]');
    if (button) reader.fill(button);
  });
  const followLink = () => {
    const seq = /^#([1-9]\d{0,15})$/.exec(location.hash)?.[1];
    if (seq !== undefined) reader.goTo(Number(seq));
  };
  window.addEventListener('hashchange', followLink);
  window.addEventListener('online', () => client.reconnectNow());
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    client.probe();
    showJump();
  });
  // A page taken from the back/forward cache has lost its socket without a word.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) client.reconnectNow();
  });

  showName();
  client.connect();
  drawStatus();
  composer.focus();
  followLink();

  function connect() {
    const url = new URL('/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const outboxKey = (/** @type {string} */ name) => `parlor.outbox.${name}`;
    return new Parlor({
      url: url.href,
      token: kept.get(TOKEN),
      // The token carries the nick; on its own it only helps a guest who lost theirs.
      nick: kept.get(TOKEN) === undefined ? kept.get(NICK) : undefined,
      lang,
      client: 'parlor-web',
      loadOutbox: (name) => parseList(tab.get(outboxKey(name))),
      saveOutbox: (name, items) => tab.set(outboxKey(name), items.length > 0 ? JSON.stringify(items) : undefined),
    });
  }
}
