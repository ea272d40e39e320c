// Starts the real server and a real browser for the tests, and waits for conditions, never for time.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const HERE = import.meta.dirname;
const ROOT = resolve(HERE, '../..');
/** Where cargo builds; CARGO_TARGET_DIR goes by the folder in which cargo was called, the root. */
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
const PARLOR = resolve(HERE, process.env.PARLOR_BIN ?? join(TARGET, 'debug/parlor'));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** How long anything may take before the test calls it broken, in ms. */
const PATIENCE_MS = 20_000;
/** Between two looks at a condition, in ms. */
const LOOK_MS = 25;

/** Where the pictures go. */
export const RESULTS = resolve(ROOT, 'test-results');

/** One `parlor serve` with its own data folder. */
export class Server {
  #child;
  #dir;
  #address = '127.0.0.1:0';
  #log = [];
  #more = [];

  /** Starts it, with more arguments if need be, and removes it when the test `t` ends. */
  static async start(t, ...more) {
    const server = new Server();
    server.#more = more;
    server.#dir = await mkdtemp(join(tmpdir(), 'parlor-browser-'));
    t.after(() => server.#remove());
    await server.start();
    return server;
  }

  /** Starts the process, on the same address as before if there was one. */
  async start() {
    const args = ['serve', '--listen', this.#address, '--admin-listen', 'off', '--metrics-listen', 'off'];
    args.push('--data-dir', join(this.#dir, 'data'), '--partitions', '4', ...this.#more);
    // The server takes every PARLOR_… for a setting of its own.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('PARLOR_')));
    this.#child = spawn(PARLOR, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    await this.#ready();
  }

  async #ready() {
    const child = this.#child;
    const lines = createInterface({ input: child.stderr });
    await new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`not ready:\n${this.#log.join('\n')}`)), PATIENCE_MS);
      const end = (settle) => (value) => {
        clearTimeout(timer);
        settle(value);
      };
      lines.on('line', (line) => {
        const plain = line.replace(/\x1b\[[0-9;]*m/g, '');
        this.#log.push(plain);
        const address = /listening\.http="?([^\s"]+)"?/.exec(plain)?.[1];
        if (address) this.#address = address;
        if (/(^|\s)ready\s*$/.test(plain)) end(done)();
      });
      child.once('error', end(fail));
      child.once('exit', () => end(fail)(new Error(`ended at once:\n${this.#log.join('\n')}`)));
    });
  }

  url(path) {
    return `http://${this.#address}${path}`;
  }

  /** kill -9, and waits until the process is gone. */
  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #remove() {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** One Chromium; each window is a person of their own. */
export class Browser {
  #browser;

  static async start(t) {
    const browser = new Browser();
    browser.#browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    t.after(() => browser.#browser.close());
    return browser;
  }

  /**
   * A window at a page. `page.problems` collects what a clean page never has: console errors,
   * uncaught errors, violations of the content security policy. `prepare` sees it before it loads.
   */
  async open(url, { prepare, ...options } = {}) {
    const context = await this.#browser.newContext({ locale: 'en-GB', ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`uncaught: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error') page.problems.push(`console: ${message.text()}`);
    });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    await prepare?.(page);
    await page.goto(url);
    return page;
  }

  /** A window in a room, joined; at a message of it, if `at` names one. */
  async enter(server, room, { at = '', ...options } = {}) {
    const page = await this.open(server.url(`/chat/${encodeURIComponent(room)}/${at}`), options);
    await connected(page);
    return page;
  }
}

/** Looks until `condition` gives something truthy, and returns that. */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  let last;
  for (;;) {
    last = await condition();
    if (last) return last;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

/** The page is connected and in its room. */
export function connected(page) {
  return until('connected and joined', () =>
    page.evaluate(
      () =>
        document.querySelector('#state').dataset.state === 'online' &&
        document.querySelector('#online').textContent !== '',
    ),
  );
}

/** The log as plain text. */
export function log(page) {
  return page.evaluate(() => document.querySelector('#chat-log').value);
}

/** The texts of the log, without the welcome line and without the nicks. */
export async function texts(page) {
  const lines = (await log(page)).split('\n').slice(1);
  return lines.map((line) => line.slice(line.indexOf(': ') + 2));
}

/** Waits until `text` is in the log. */
export function shows(page, text) {
  return until(`"${text}" in the log`, async () => (await texts(page)).includes(text));
}

/** Types and sends, as a person does. */
export async function say(page, text) {
  await page.locator('#chat-message-input').fill(text);
  await page.keyboard.press('Enter');
}

/** Says it and waits until the room has it. */
export async function saySeen(page, text) {
  await say(page, text);
  await shows(page, text);
}

/**
 * Has a crowd say things in a room, one after the other, and waits until all are acked. Needs a server
 * with `--limits off`.
 */
export async function crowd(browser, server, room, words) {
  // A page that shows nothing of it: only the client is wanted.
  const page = await browser.open(server.url('/chat/'));
  await page.evaluate(async ([name, words]) => {
    const { Parlor } = await import('/assets/client/parlor.js');
    const members = ['Ann', '伟', 'Bo'].map((nick) => {
      const client = new Parlor({ url: `ws://${location.host}/ws`, nick });
      const room = client.join(name);
      client.connect();
      return { client, room };
    });
    for (const [n, text] of words.entries()) {
      const { client, room } = members[n % members.length];
      room.send(text);
      await new Promise((done) => {
        const off = client.on('outbox', () => {
          if (room.outbox.items.length > 0) return;
          off();
          done();
        });
      });
    }
    for (const { client } of members) client.close();
  }, [room, words]);
  await page.context().close();
}

/** A message on the page, by its text. */
export function messageOf(page, text) {
  return page.locator('#chat-log .message').filter({ has: page.locator('.text', { hasText: text }) });
}

/** Takes a name in the chat. */
export async function nick(page, name) {
  await page.locator('#me').click();
  await page.locator('#nick-input').fill(name);
  await page.locator('#nick-save').click();
  await until(`named ${name}`, async () => (await page.locator('#me-nick').textContent()) === name);
}
