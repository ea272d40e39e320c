// What a room has asked `history` for and not been told yet. A question outlives the connection it was
// asked on: it is asked again, under the same id, after each join, and when an answer stays out.

import { isTemporary } from './retry.js';

/** How long an answer may take before the question is asked again, in ms. */
const ANSWER_MS = 10_000;
/** Wait when a temporary refusal does not say how long, in ms. */
const DEFAULT_RETRY_MS = 1_000;
/** How often a question is asked on one connection before it is given up. */
const TRIES = 4;

/**
 * @typedef {object} Question
 * @property {number} id
 * @property {import('./entries.js').Place & {limit?: number}} place
 * @property {number} tries
 * @property {any} timer
 * @property {(answer: any) => void} resolve
 * @property {(error: Error) => void} reject
 */

/** Why there is no answer: the server's code, or `TIMED_OUT`, `RESET`, `CLOSED`. */
export class Refused extends Error {
  /** @param {string} code @param {string} [message] */
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

export class Questions {
  /**
   * @param {import('./connection.js').Clock} clock
   * @param {(question: Question) => void} write sends a question's frame
   */
  constructor(clock, write) {
    this.#clock = clock;
    this.#write = write;
  }

  #clock;
  #write;
  /** Whether the room can be asked now. */
  #open = false;
  /** @type {Map<number, Question>} */
  #waiting = new Map();

  /**
   * @param {number} id
   * @param {Question['place']} place
   * @returns {Promise<any>} the `history` frame
   */
  ask(id, place) {
    return new Promise((resolve, reject) => {
      const question = { id, place, tries: 0, timer: undefined, resolve, reject };
      this.#waiting.set(id, question);
      if (this.#open) this.#try(question);
    });
  }

  /** The room is joined: everything open is asked, again if need be. */
  resume() {
    this.#open = true;
    for (const question of this.#waiting.values()) {
      question.tries = 0;
      this.#try(question);
    }
  }

  /** No answer will come until `resume`. */
  pause() {
    this.#open = false;
    for (const question of this.#waiting.values()) this.#clock.clearTimeout(question.timer);
  }

  /** @param {any} frame @returns {Question | undefined} what it answers */
  answered(frame) {
    return this.#end(frame.id);
  }

  /** @param {any} frame an `error` @returns {boolean} whether it was about one of these */
  refused(frame) {
    const question = this.#waiting.get(frame.id);
    if (!question) return false;
    this.#clock.clearTimeout(question.timer);
    if (isTemporary(frame.code) && question.tries < TRIES) {
      const wait = frame.retry_after_ms ?? DEFAULT_RETRY_MS;
      question.timer = this.#clock.setTimeout(() => this.#try(question), wait);
    } else {
      this.#end(frame.id)?.reject(new Refused(frame.code, frame.message));
    }
    return true;
  }

  /** Gives up all of them. @param {string} code */
  fail(code) {
    for (const id of [...this.#waiting.keys()]) this.#end(id)?.reject(new Refused(code));
  }

  /** @param {Question} question */
  #try(question) {
    this.#clock.clearTimeout(question.timer);
    if (question.tries >= TRIES) {
      this.#end(question.id)?.reject(new Refused('TIMED_OUT'));
      return;
    }
    question.tries += 1;
    question.timer = this.#clock.setTimeout(() => this.#try(question), ANSWER_MS);
    this.#write(question);
  }

  /** @param {number} id @returns {Question | undefined} */
  #end(id) {
    const question = this.#waiting.get(id);
    if (question) this.#clock.clearTimeout(question.timer);
    this.#waiting.delete(id);
    return question;
  }
}
