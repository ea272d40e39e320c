// Small makers of elements. Every text from outside becomes a text node; there is no HTML here.

/** @param {string} tag @param {string} [className] @param {string} [text] @returns {HTMLElement} */
export function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/**
 * A button that submits nothing.
 *
 * @param {string} className
 * @param {string} text
 * @param {Record<string, string>} [data]
 */
export function makeButton(className, text, data = {}) {
  const node = /** @type {HTMLButtonElement} */ (make('button', className, text));
  node.type = 'button';
  Object.assign(node.dataset, data);
  return node;
}

/** The line over a group of messages that says whose they are. @param {string} nick */
export function nickLine(nick) {
  const who = make('p', 'who');
  who.append(make('bdi', 'nick', nick));
  return who;
}
