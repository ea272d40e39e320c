// The words of the page, in the language the server chose for it. They travel in a meta element:
// no second request, and nothing inline that the content security policy would have to allow.

const meta = document.querySelector('meta[name="parlor-strings"]');
/** @type {{script: Record<string, string>, errors: Record<string, string>}} */
const strings = JSON.parse(meta?.getAttribute('content') ?? '{"script":{},"errors":{}}');

/** The language of the page, as a BCP 47 tag. */
export const lang = document.documentElement.lang || 'en';

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values] for the `{names}` in the text
 * @returns {string}
 */
export function t(key, values = {}) {
  const text = strings.script[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));
}

/**
 * @param {string} key
 * @returns {boolean}
 */
export function has(key) {
  return key in strings.script;
}

/**
 * A protocol code in words: ours if we have them, else the server's.
 *
 * @param {string} code
 * @param {string} [message]
 * @returns {string}
 */
export function errorText(code, message) {
  return strings.errors[code] ?? (message || code);
}

/**
 * An element that is known to be in the page.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
  return /** @type {T} */ (document.getElementById(id));
}
