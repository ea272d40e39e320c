// Enter that belongs to an input method must choose a candidate, never send.

/**
 * Calls `onEnter` for an Enter that is meant as Enter.
 *
 * Chromium and Firefox report the Enter that ends a composition as `keydown` (composing) and then
 * `compositionend`; Safari the other way round, within the same task and with key code 229.
 *
 * @param {HTMLElement} field
 * @param {(event: KeyboardEvent) => void} onEnter
 */
export function listenForEnter(field, onEnter) {
  let justEnded = false;
  field.addEventListener('compositionend', () => {
    justEnded = true;
    setTimeout(() => {
      justEnded = false;
    });
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    if (event.isComposing || event.keyCode === 229 || justEnded) return;
    onEnter(event);
  });
}
