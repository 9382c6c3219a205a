// What the tests in a browser share: one headless Chromium with a profile of its own, and a list of all that went wrong in it.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require(process.env.PLAYWRIGHT || 'playwright-core');

const ARGUMENTS = [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--force-color-profile=srgb', '--lang=en-US',
];

// Calls `work(page, problems)`; ends the process with 1 where it throws, with a picture of what was there.
async function withPage(options, work) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'pipectl-browser-'));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: ARGUMENTS, locale: 'en-US', timezoneId: 'UTC',
        viewport: options.viewport,
    });
    // A busy machine takes its time, and a server's first page too.
    context.setDefaultTimeout(120000);
    const page = await context.newPage();
    const problems = [];
    // Nothing is asked of any other host: Superset's page has a counting pixel.
    await context.route((url) => !['127.0.0.1', 'localhost'].includes(url.hostname), (route) => route.abort());
    page.on('response', (response) => {
        if (response.status() >= 400) problems.push(`${response.status()} ${response.url()}`);
    });
    page.on('pageerror', (error) => problems.push(`error in the page: ${error.message}`));
    try {
        await work(page, problems);
    } catch (error) {
        await page.screenshot({ path: options.failed, fullPage: true }).catch(() => {});
        console.error(`error: ${error.message}\nwhat the browser showed: ${options.failed}`);
        for (const problem of problems) console.error(`  ${problem}`);
        process.exitCode = 1;
    } finally {
        await context.close();
        fs.rmSync(profile, { recursive: true, force: true });
    }
}

function required(name) {
    const value = process.env[name];
    if (!value) {
        console.error(`error: ${name} is not set`);
        process.exit(2);
    }
    return value;
}

function same(what, seen, wanted) {
    const [left, right] = [JSON.stringify(seen), JSON.stringify(wanted)];
    if (left !== right) throw new Error(`${what}: shows ${left.slice(0, 600)}, and it is ${right.slice(0, 600)}`);
}

module.exports = { withPage, required, same };
