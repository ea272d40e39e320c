// The page of one room: wires the client to the elements. Drawing is view.js, protocol is client/.

import { Parlor, roomFromPath } from './client/parlor.js';
import { listenForEnter } from './ime.js';
import { dress } from './people.js';
import { kept, parseList, tab } from './storage.js';
import { element, errorText, has, lang, t } from './text.js';
import { LogView, OutboxView } from './view.js';

const TOKEN = 'parlor.token';
const NICK = 'parlor.nick';
/** Within this distance of the end, new messages pull the view along, in px. */
const NEAR_END = 48;
/** The counter appears when fewer characters are left. */
const COUNT_FROM = 200;

const header = { name: element('room-name'), online: element('online'), stateText: element('state-text'), state: element('state') };
const bar = { root: element('bar'), text: element('bar-text'), countdown: element('bar-countdown'), button: element('bar-button'), link: element('bar-link') };
const scroller = element('scroller');
const logElement = element('chat-log');
const jump = element('jump');
/** @type {HTMLTextAreaElement} */
const input = element('chat-message-input');
/** @type {HTMLButtonElement} */
const submit = element('chat-message-submit');
const counter = element('counter');

const asked = roomFromPath(location.pathname);
const logView = new LogView(logElement);

let textLimit = 2_000;
let unseen = 0;

function showRoomName(/** @type {string} */ name) {
  header.name.textContent = name;
  logView.room = name;
  input.placeholder = t('placeholder', { room: name });
  showTitle();
}

function showTitle() {
  const room = header.name.textContent ?? '';
  document.title = unseen > 0 ? t('title_new', { n: unseen, room }) : t('title', { room });
}

/** A sentence over the log, with at most one thing to do about it. */
function showBar(/** @type {string} */ text, /** @type {{act?: {label: string, run: () => void}, link?: string}} */ { act, link } = {}) {
  bar.root.hidden = false;
  if (bar.text.textContent !== text) bar.text.textContent = text;
  bar.button.hidden = act === undefined;
  bar.button.textContent = act?.label ?? '';
  bar.button.onclick = () => {
    act?.run();
    input.focus();
  };
  bar.link.hidden = link === undefined;
  bar.link.textContent = link ?? '';
}

function hideBar() {
  bar.root.hidden = true;
  bar.text.textContent = '';
}

function atEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
}

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

function seen() {
  unseen = 0;
  jump.hidden = true;
  showTitle();
}

/** Changes what is in the log without moving what the reader looks at. */
function keepPlace(/** @type {() => void} */ change) {
  const end = atEnd();
  change();
  if (end) toEnd();
  return end;
}

function fitInput() {
  if (CSS.supports('field-sizing', 'content')) return;
  input.style.height = 'auto';
  input.style.height = `${input.scrollHeight}px`;
}

function countInput() {
  const left = textLimit - [...input.value].length;
  counter.textContent = left < 0 ? t('over', { n: -left }) : left < COUNT_FROM ? t('left', { n: left }) : '';
  counter.classList.toggle('over', left < 0);
  submit.disabled = left < 0;
}

if (asked === null) {
  showRoomName('Parlor');
  logElement.replaceChildren();
  input.disabled = true;
  submit.disabled = true;
  showBar(t('bad_path'), { link: t('choose_room') });
} else {
  start(asked);
}

/** @param {string} roomName */
function start(roomName) {
  showRoomName(roomName);

  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const outboxKey = (/** @type {string} */ room) => `parlor.outbox.${room}`;
  const client = new Parlor({
    url: url.href,
    token: kept.get(TOKEN),
    // The token carries the nick; on its own it only helps a guest who lost theirs.
    nick: kept.get(TOKEN) === undefined ? kept.get(NICK) : undefined,
    lang,
    client: 'parlor-web',
    loadOutbox: (room) => parseList(tab.get(outboxKey(room))),
    saveOutbox: (room, items) => tab.set(outboxKey(room), items.length > 0 ? JSON.stringify(items) : undefined),
  });
  const room = client.join(roomName);
  const outboxView = new OutboxView(element('outbox'), {
    retry: (cid) => {
      if (client.status.state === 'waiting') client.reconnectNow();
      client.retry(room, cid);
      input.focus();
    },
    discard: (cid) => {
      client.discard(room, cid);
      input.focus();
    },
  });
  const drawOutbox = () =>
    keepPlace(() => {
      const online = client.status.state === 'online';
      outboxView.draw(room.outbox.items, client.me, online, logView.continuesWith(client.me));
    });

  client.on('token', (token) => kept.set(TOKEN, token));
  client.on('limits', (limits) => {
    if (Number.isInteger(limits.text)) textLimit = limits.text;
    countInput();
  });
  client.on('joined', () => {
    showRoomName(room.name);
    showOnline();
  });
  client.on('online', showOnline);
  client.on('log', ({ change }) => {
    const end = keepPlace(() => logView.apply(change));
    const fromOthers = change.added.filter((e) => e.type === 'message' && e.from.id !== client.me?.id);
    // What the first join brings is history, neither news nor something to read aloud.
    const history = logElement.getAttribute('aria-live') === 'off';
    if (!history && fromOthers.length > 0 && (!end || document.hidden)) {
      unseen += fromOthers.length;
      jump.hidden = end;
      jump.textContent = t('new_messages', { n: unseen });
      showTitle();
    }
  });
  client.on('joined', () => {
    // After the history is in the page.
    setTimeout(() => logElement.setAttribute('aria-live', 'polite'));
  });
  client.on('outbox', drawOutbox);
  client.on('status', showStatus);
  client.on('roomError', showStatus);
  client.on('removed', showStatus);
  client.on('notice', (notice) => {
    if (notice.room && notice.room !== room) return;
    showBar(t('notice', { text: notice.text }), { act: { label: '×', run: hideBar } });
  });
  client.on('error', (error) => showBar(errorText(error.code, error.message), { act: { label: '×', run: hideBar } }));

  function showOnline() {
    header.online.textContent = room.online === undefined ? '' : t('online', { n: room.online });
  }

  // ---- connection ----

  function showStatus() {
    const { state, code } = client.status;
    header.state.dataset.state = state;
    header.stateText.textContent = t(`state_${state}`);
    drawOutbox();
    const closedFor = room.error;
    input.disabled = closedFor !== undefined;
    submit.disabled = closedFor !== undefined;
    if (closedFor) {
      showBar(errorText(closedFor.code, closedFor.message), { link: t('choose_room') });
    } else if (state === 'online') {
      hideBar();
    } else if (state === 'waiting') {
      showBar(t('lost'), { act: { label: t('try_now'), run: () => client.reconnectNow() } });
    } else if (state === 'connecting' && code !== undefined) {
      showBar(t('lost_connecting'));
    } else if (state === 'closed') {
      const bug = code === 1002 || code === 1007 || code === 4001 || code === 4002;
      const key = bug ? 'closed_bug' : `closed_${code}`;
      const reload = bug || code === 4010;
      showBar(has(key) ? t(key) : t('closed'), {
        act: reload
          ? { label: t('reload'), run: () => location.reload() }
          : { label: t('try_now'), run: () => client.connect() },
      });
    }
    countDown();
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let tick;
  function countDown() {
    clearTimeout(tick);
    const { state, retryAt } = client.status;
    bar.countdown.textContent = '';
    if (state !== 'waiting' || retryAt === undefined || room.error) return;
    const left = Math.max(0, retryAt - Date.now());
    // Not in the live region: a screen reader must not count along.
    bar.countdown.textContent = t('retry_in', { n: Math.ceil(left / 1000) });
    tick = setTimeout(countDown, left % 1000 || 1000);
  }

  window.addEventListener('online', () => client.reconnectNow());
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    client.probe();
    if (atEnd()) seen();
  });
  // A page taken from the back/forward cache has lost its socket without a word.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) client.reconnectNow();
  });

  // ---- writing ----

  function send() {
    if (input.disabled || [...input.value].length > textLimit) return;
    if (input.value.trim() === '') return;
    client.send(room, input.value);
    input.value = '';
    fitInput();
    countInput();
    toEnd();
    seen();
  }

  listenForEnter(input, (event) => {
    if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!event.repeat) send();
  });
  element('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    send();
    input.focus();
  });
  input.addEventListener('input', () => {
    keepPlace(fitInput);
    countInput();
  });

  // ---- reading ----

  scroller.addEventListener('scroll', () => {
    if (atEnd() && !document.hidden) seen();
  });
  jump.addEventListener('click', () => {
    toEnd();
    seen();
    input.focus();
  });
  // The keyboard of a phone, a taller composer, a turned screen: the end stays in sight.
  let wasAtEnd = true;
  scroller.addEventListener('scroll', () => {
    wasAtEnd = atEnd();
  });
  new ResizeObserver(() => {
    if (wasAtEnd) toEnd();
  }).observe(scroller);

  // ---- one's own name ----

  const me = element('me');
  /** @type {HTMLDialogElement} */
  const dialog = element('nick-dialog');
  /** @type {HTMLInputElement} */
  const nickInput = element('nick-input');
  const nickError = element('nick-error');

  client.on('me', (user) => {
    me.hidden = false;
    element('me-nick').textContent = user.nick;
    const label = t('you', { nick: user.nick });
    me.setAttribute('aria-label', label);
    me.title = label;
    dress(element('me-avatar'), user);
    drawOutbox();
    if (dialog.open && nickInput.value.trim() === user.nick) dialog.close();
  });
  client.on('nickError', ({ code, message }) => {
    if (!dialog.open) return;
    nickError.textContent = errorText(code, message);
    nickInput.setAttribute('aria-invalid', 'true');
    nickInput.focus();
  });
  me.addEventListener('click', () => {
    nickInput.value = client.me?.nick ?? '';
    nickError.textContent = '';
    nickInput.removeAttribute('aria-invalid');
    dialog.showModal();
    nickInput.select();
  });
  const saveNick = () => {
    const nick = nickInput.value.trim();
    nickError.textContent = '';
    if (nick === '') {
      nickError.textContent = t('nick_empty');
      return;
    }
    if (nick === client.me?.nick) {
      dialog.close();
      return;
    }
    kept.set(NICK, nick);
    client.setNick(nick);
    // Offline the wish waits for the next connection, and so must nobody.
    if (client.status.state !== 'online') dialog.close();
  };
  nickInput.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') event.preventDefault();
  });
  listenForEnter(nickInput, saveNick);
  element('nick-form').addEventListener('submit', (event) => {
    event.preventDefault();
    saveNick();
  });
  element('nick-cancel').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => input.focus());

  client.connect();
  showStatus();
  drawOutbox();
  fitInput();
  countInput();
  input.focus();
}
