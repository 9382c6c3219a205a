// pgAdmin in a real browser: logs in, opens the provisioned server without being asked for a password, and finds the shop's tables.
// Called by dev/pgadmin, which sets the variables.
'use strict';
const { withPage, required, same } = require('./browser.js');

const BASE = required('PGADMIN_URL');
const [EMAIL, PASSWORD] = [required('PGADMIN_EMAIL'), required('PGADMIN_PASSWORD')];
const TABLES = ['customers', 'events', 'order_items', 'orders', 'payments', 'products', 'reviews'];

async function login(page, password) {
    await page.goto(`${BASE}/login?next=/browser/`);
    await page.fill('input[name=email]', EMAIL);
    await page.fill('input[name=password]', password);
    await page.click('button[type=submit], button:has-text("Login")');
}

// An entry of the tree, by its whole label or, where a count stands behind it, by what comes before.
const entry = (page, label) => page.locator('.file-entry').filter({ hasText: new RegExp(`^\\s*${label}(\\s*\\(\\d+\\))?\\s*$`) }).first();

// A tree that is slow to load may have been opened before its entries were there, and then shows none until it is opened again.
async function open(page, label, next) {
    await entry(page, label).waitFor();
    const deadline = Date.now() + 120000;
    while (!(await entry(page, next).isVisible())) {
        if (await page.locator('[role=dialog]').filter({ hasText: /password/i }).count()) throw new Error('pgAdmin asks for a password');
        if (Date.now() > deadline) throw new Error(`"${label}" shows no "${next}"`);
        await entry(page, label).dblclick();
        await entry(page, next).waitFor({ timeout: 10000 }).catch(() => {});
    }
}

withPage({ viewport: { width: 1300, height: 1600 }, failed: required('FAILED') }, async (page, problems) => {
    await login(page, `${PASSWORD}-and-more`);
    await page.getByText(/incorrect|invalid|not valid/i).first().waitFor();
    problems.length = 0;
    await login(page, PASSWORD);
    await entry(page, 'pipectl').waitFor();
    const path = ['pipectl', 'Postgres of the shop', 'Databases', 'shop', 'Schemas', 'public', 'Tables', ...TABLES.slice(0, 1)];
    for (let place = 0; place + 1 < path.length; place += 1) await open(page, path[place], path[place + 1]);
    const labels = (await page.locator('.file-entry').allInnerTexts()).map((label) => label.trim());
    same('the tables of the shop', labels.slice(labels.findIndex((label) => label.startsWith('Tables')) + 1).slice(0, TABLES.length), TABLES);
    // What a table has comes from Postgres when it is opened.
    await open(page, 'orders', 'Columns');
    // The logo of a stranger's service is not asked for, and nothing else may fail.
    if (problems.length) throw new Error('requests of the page failed');
    await page.screenshot({ path: required('PICTURE') });
    console.log(`logged in, connected without a question, ${TABLES.length} tables of the shop: ${TABLES.join(', ')}`);
});
