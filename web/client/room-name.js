// Room names as people type them. The server decides; this only spares a round trip for what it
// would refuse anyway, so it never refuses what the server would take.

const MAX_CODE_POINTS = 64;

/**
 * @param {string} name
 * @returns {'ok' | 'empty' | 'long' | 'invalid'}
 */
export function checkRoomName(name) {
  if (name.trim() === '') return 'empty';
  const id = name.normalize('NFKC').toLowerCase().normalize('NFKC');
  if ([...id].length > MAX_CODE_POINTS) return 'long';
  return /^[\p{L}\p{M}\p{Nd}\p{Nl}_-]+$/u.test(id) && id !== '-' ? 'ok' : 'invalid';
}

/**
 * The address of a room's page.
 *
 * @param {string} name
 * @returns {string}
 */
export function roomPath(name) {
  return `/chat/${encodeURIComponent(name)}/`;
}

/**
 * The room that a page's address names, or null if it names none (bad percent-encoding included).
 *
 * @param {string} pathname
 * @returns {string | null}
 */
export function roomFromPath(pathname) {
  const match = /^\/chat\/([^/]+)\/?$/.exec(pathname);
  if (!match) return null;
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return null;
  }
}
