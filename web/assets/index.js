// The page that asks for a room's name.

import { checkRoomName, roomPath } from './client/room-name.js';
import { listenForEnter } from './ime.js';
import { element, t } from './text.js';

/** @type {HTMLInputElement} */
const input = element('room-name-input');
/** @type {HTMLFormElement} */
const form = element('enter');
const problem = element('room-name-error');

function enter() {
  const name = input.value.trim();
  const verdict = checkRoomName(name);
  if (verdict === 'ok') {
    location.assign(roomPath(name));
    return;
  }
  problem.textContent = t(`name_${verdict}`);
  input.setAttribute('aria-invalid', 'true');
  input.focus();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  enter();
});
// The browser's own submit-on-Enter does not know every input method, so it is not relied on.
input.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') event.preventDefault();
});
listenForEnter(input, enter);
input.addEventListener('input', () => {
  problem.textContent = '';
  input.removeAttribute('aria-invalid');
});
input.focus();
