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

// Opens entry after entry. A double click is also what closes one: on a slow machine it may come after all to what opened late, and then what
// lies above is opened once more. So each step looks from the top what there is, and leaves what it clicked the time to open.
async function open(page, path) {
    const deadline = Date.now() + 300000;
    for (;;) {
        let place = 0;
        while (place < path.length && (await entry(page, path[place]).isVisible())) place += 1;
        if (place === path.length) return;
        if (await page.locator('[role=dialog]').filter({ hasText: /password/i }).count()) throw new Error('pgAdmin asks for a password');
        if (Date.now() > deadline) throw new Error(`"${path[Math.max(place - 1, 0)]}" shows no "${path[place]}"`);
        if (place > 0) await entry(page, path[place - 1]).dblclick({ timeout: 30000 }).catch(() => {});
        await entry(page, path[place]).waitFor({ timeout: 45000 }).catch(() => {});
    }
}

withPage({ viewport: { width: 1300, height: 1600 }, failed: required('FAILED') }, async (page, problems) => {
    await login(page, `${PASSWORD}-and-more`);
    await page.getByText(/incorrect|invalid|not valid/i).first().waitFor();
    problems.length = 0;
    await login(page, PASSWORD);
    const path = ['pipectl', 'Postgres of the shop', 'Databases', 'shop', 'Schemas', 'public', 'Tables'];
    await open(page, [...path, TABLES[0]]);
    const labels = (await page.locator('.file-entry').allInnerTexts()).map((label) => label.trim());
    same('the tables of the shop', labels.slice(labels.findIndex((label) => label.startsWith('Tables')) + 1).slice(0, TABLES.length), TABLES);
    // What a table has comes from Postgres when it is opened.
    await open(page, [...path, 'orders', 'Columns']);
    // The logo of a stranger's service is not asked for, and nothing else may fail.
    if (problems.length) throw new Error('requests of the page failed');
    await page.screenshot({ path: required('PICTURE') });
    console.log(`logged in, connected without a question, ${TABLES.length} tables of the shop: ${TABLES.join(', ')}`);
});
