// What the page remembers. A browser may refuse storage altogether; then it forgets, and works.

/** @param {() => Storage} storage */
function shelf(storage) {
  return {
    /** @param {string} key @returns {string | undefined} */
    get(key) {
      try {
        return storage().getItem(key) ?? undefined;
      } catch {
        return undefined;
      }
    },
    /** @param {string} key @param {string | undefined} value */
    set(key, value) {
      try {
        if (value === undefined) storage().removeItem(key);
        else storage().setItem(key, value);
      } catch {
        // full, or forbidden
      }
    },
  };
}

/** For every tab and every visit: who we are. */
export const kept = shelf(() => localStorage);

/** For this tab: what is not sent yet. */
export const tab = shelf(() => sessionStorage);

/**
 * @param {string | undefined} json
 * @returns {any[]}
 */
export function parseList(json) {
  try {
    const list = JSON.parse(json ?? '[]');
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}
