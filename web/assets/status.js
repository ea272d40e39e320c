// How the connection is, in the header, and a sentence over the log when it is not well.

import { element, errorText, has, t } from './text.js';

const header = { state: element('state'), text: element('state-text') };
const bar = {
  root: element('bar'),
  text: element('bar-text'),
  countdown: element('bar-countdown'),
  button: element('bar-button'),
  link: element('bar-link'),
};

/**
 * A sentence over the log, with at most one thing to do about it.
 *
 * @param {string} text
 * @param {{act?: {label: string, run: () => void}, link?: string}} [what]
 */
export function showBar(text, { act, link } = {}) {
  bar.root.hidden = false;
  if (bar.text.textContent !== text) bar.text.textContent = text;
  bar.button.hidden = act === undefined;
  bar.button.textContent = act?.label ?? '';
  bar.button.onclick = () => {
    act?.run();
    element('chat-message-input').focus();
  };
  bar.link.hidden = link === undefined;
  bar.link.textContent = link ?? '';
}

export function hideBar() {
  bar.root.hidden = true;
  bar.text.textContent = '';
}

/** A sentence that can be put away. @param {string} text */
export function showNote(text) {
  showBar(text, { act: { label: '×', run: hideBar } });
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let tick;

/**
 * Says how the connection and the room are.
 *
 * @param {import('../client/parlor.js').Parlor} client
 * @param {import('../client/room.js').Room} room
 */
export function showStatus(client, room) {
  const { state, code } = client.status;
  header.state.dataset.state = state;
  header.text.textContent = t(`state_${state}`);
  if (room.error) {
    showBar(errorText(room.error.code, room.error.message), { link: t('choose_room') });
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
  countDown(client, room);
}

/** @param {import('../client/parlor.js').Parlor} client @param {import('../client/room.js').Room} room */
function countDown(client, room) {
  clearTimeout(tick);
  const { state, retryAt } = client.status;
  bar.countdown.textContent = '';
  if (state !== 'waiting' || retryAt === undefined || room.error) return;
  const left = Math.max(0, retryAt - Date.now());
  // Not in the live region: a screen reader must not count along.
  bar.countdown.textContent = t('retry_in', { n: Math.ceil(left / 1000) });
  tick = setTimeout(() => countDown(client, room), left % 1000 || 1000);
}
