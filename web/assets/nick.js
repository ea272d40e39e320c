// One's own name: the button in the header, and the dialog behind it.

import { listenForEnter } from './ime.js';
import { dress } from './people.js';
import { kept } from './storage.js';
import { element, errorText, t } from './text.js';

export const NICK = 'parlor.nick';

/** @param {import('../client/parlor.js').Parlor} client */
export function nickDialog(client) {
  const me = element('me');
  /** @type {HTMLDialogElement} */
  const dialog = element('nick-dialog');
  /** @type {HTMLInputElement} */
  const input = element('nick-input');
  const problem = element('nick-error');

  client.on('me', (user) => {
    me.hidden = false;
    element('me-nick').textContent = user.nick;
    const label = t('you', { nick: user.nick });
    me.setAttribute('aria-label', label);
    me.title = label;
    dress(element('me-avatar'), user);
    if (dialog.open && input.value.trim() === user.nick) dialog.close();
  });
  client.on('nickError', ({ code, message }) => {
    if (!dialog.open) return;
    problem.textContent = errorText(code, message);
    input.setAttribute('aria-invalid', 'true');
    input.focus();
  });
  me.addEventListener('click', () => {
    input.value = client.me?.nick ?? '';
    problem.textContent = '';
    input.removeAttribute('aria-invalid');
    dialog.showModal();
    input.select();
  });
  const save = () => {
    const nick = input.value.trim();
    problem.textContent = '';
    if (nick === '') {
      problem.textContent = t('nick_empty');
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
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') event.preventDefault();
  });
  listenForEnter(input, save);
  element('nick-form').addEventListener('submit', (event) => {
    event.preventDefault();
    save();
  });
  element('nick-cancel').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => element('chat-message-input').focus());
}
