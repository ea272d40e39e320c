// When to come back, and whether to: the close codes and the back-off of PROTOCOL rules 10 and 11.
// Pure functions; nothing here knows a socket or a timer.

/** First step of the back-off, in ms. */
const BASE_MS = 500;
/** Longest step of the back-off, in ms. */
const CAP_MS = 30_000;
/** "Later" of close code 4008: the server counts connections over 10 s windows. */
const LATER_MS = 10_000;

/**
 * What a close means for the connection.
 *
 * - `stop`: do not come back.
 * - `retry`: come back after the back-off.
 * - `later`: come back, but not before the server's windows have passed.
 * - `now`: come back at once.
 * - `renew`: the token is refused or expired; forget it, then come back.
 *
 * @typedef {'stop' | 'retry' | 'later' | 'now' | 'renew'} Verdict
 */

/** @type {Readonly<Record<number, Verdict>>} */
const VERDICTS = Object.freeze({
  1000: 'stop', // the server is done with us
  1002: 'stop', // we broke the frame rules: a bug
  1007: 'stop', // we sent text that is not UTF-8: a bug
  4001: 'stop', // an op before hello: a bug
  4002: 'stop', // ten malformed frames: a bug
  4004: 'renew', // token refused
  4005: 'renew', // token expired
  4008: 'later', // too many ops, connections or guests
  4010: 'stop', // another protocol version: only a reload helps
  4011: 'stop', // banned
  4012: 'stop', // too many live connections from this address
  4013: 'now', // we read too slowly; everything missed comes with the resume
});

/**
 * Any code that is not in the table (a lost network is 1006) is worth another try.
 *
 * @param {number} code
 * @returns {Verdict}
 */
export function verdict(code) {
  return VERDICTS[code] ?? 'retry';
}

/**
 * Full jitter: a uniform draw between nothing and a ceiling that doubles, so that a crowd which lost
 * its server together does not come back together.
 *
 * @param {number} attempt 0 for the first attempt after a connection that worked
 * @param {() => number} random in [0, 1)
 * @returns {number} ms
 */
export function backoffMs(attempt, random) {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16));
  return random() * ceiling;
}

/**
 * @param {number} attempt
 * @param {() => number} random
 * @returns {number} ms
 */
export function laterMs(attempt, random) {
  return LATER_MS + backoffMs(attempt, random);
}

/** Refusals that only mean "not now": the same cid goes out again after `retry_after_ms`. */
const TRY_AGAIN = new Set(['RATE_LIMITED', 'SLOW_MODE', 'UNAVAILABLE']);

/**
 * @param {string} code
 * @returns {boolean}
 */
export function isTemporary(code) {
  return TRY_AGAIN.has(code);
}
