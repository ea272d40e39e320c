// How a person looks: initials on a colour that stays theirs.

/** Number of `.tone-N` classes in style.css. */
const TONES = 8;

/**
 * @param {string} id
 * @returns {string} a class name
 */
export function tone(id) {
  let hash = 2166136261; // FNV-1a
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  return `tone-${(hash >>> 0) % TONES}`;
}

/**
 * One character for scripts without capitals, else two.
 *
 * @param {string} nick
 * @returns {string}
 */
export function initials(nick) {
  const words = nick.split(/[\s_.-]+/u).filter(Boolean).map(graphemes);
  const first = words[0] ?? [];
  if (first.length === 0) return '?';
  if (first[0].toUpperCase() === first[0].toLowerCase()) return first[0];
  const second = words[1]?.[0] ?? first[1] ?? '';
  return (first[0] + second).toUpperCase();
}

/** @param {string} text @returns {string[]} */
function graphemes(text) {
  if (!('Segmenter' in Intl)) return [...text];
  return [...new Intl.Segmenter().segment(text)].map((part) => part.segment);
}

/**
 * Dresses an avatar element.
 *
 * @param {HTMLElement} avatar
 * @param {{id: string, nick: string}} person
 */
export function dress(avatar, person) {
  avatar.className = `avatar ${tone(person.id)}`;
  avatar.dataset.initials = initials(person.nick); // drawn by style.css: not part of copied text
}
